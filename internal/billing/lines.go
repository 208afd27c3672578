package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// Lines is what the items of a subscription are of.
type Lines struct {
	PlanItem *Item           // of Plan; nil: none is of a plan of ours
	Plan     string          // its code; empty where PlanItem is nil
	Addons   map[string]Item // by the add-on's code; where two are of one, the first by its id
	Unknown  []string        // the prices of nothing here

	addons map[string]*string // by the item's id; nil: of none
}

const pricesSQL = `SELECT price_id, plan, addon FROM billing.prices WHERE price_id = ANY (@prices::text[])`

type priceRow struct {
	Price string  `db:"price_id"`
	Plan  *string `db:"plan"`
	Addon *string `db:"addon"`
}

// Sort finds out what the items of a subscription are of, by the prices that were set up.
// Where two are of plans, the first by its id decides. It runs as nself_server.
func Sort(ctx context.Context, db pg.DB, items []Item) (Lines, error) {
	prices := make([]string, len(items))
	for i, item := range items {
		prices[i] = item.Price
	}
	found, err := pg.All[priceRow](ctx, db, pricesSQL, pgx.NamedArgs{"prices": prices})
	if err != nil {
		return Lines{}, fmt.Errorf("look up the prices of a subscription: %w", err)
	}
	of := make(map[string]priceRow, len(found))
	for _, price := range found {
		of[price.Price] = price
	}
	l := Lines{Addons: map[string]Item{}, addons: map[string]*string{}}
	for _, item := range items {
		price, known := of[item.Price]
		if !known {
			l.Unknown = append(l.Unknown, item.Price)
		}
		l.put(item, price)
	}
	return l, nil
}

func (l *Lines) put(item Item, price priceRow) {
	if price.Plan != nil && (l.PlanItem == nil || item.ID < l.PlanItem.ID) {
		l.Plan, l.PlanItem = *price.Plan, &item
	}
	if price.Addon == nil {
		return
	}
	l.addons[item.ID] = price.Addon
	if first, has := l.Addons[*price.Addon]; !has || item.ID < first.ID {
		l.Addons[*price.Addon] = item
	}
}
