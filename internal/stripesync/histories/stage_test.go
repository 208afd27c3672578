package histories_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/billing"
	stand "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	day = 24 * time.Hour
	key = "sk_test_histories"
)

var (
	rules = billing.Rules{Grace: 7 * day, Reminders: []time.Duration{day, 3 * day, 5 * day}}
	quiet = slog.New(slog.DiscardHandler)
)

// stage is two databases in which all histories are played: here, where everything goes
// wrong, and beside it, where nothing does.
type stage struct {
	here, beside *pgtest.DB
}

// sold is what there is to buy: plans, of which one is tried first and one paid by the
// seat, and an add-on.
var sold = []struct {
	code   string
	amount int64
	addon  bool
}{{"starter", 2900, false}, {"pro", 9900, false}, {"enterprise", 49900, false}, {"extra-storage", 500, true}}

const catalogSQL = `
UPDATE billing.plans SET per_seat = true WHERE code = 'enterprise';
UPDATE billing.plans SET trial_days = 14 WHERE code = 'pro';
INSERT INTO billing.addons (code, name, price_minor) VALUES ('extra-storage', 'Extra storage', 500);
INSERT INTO billing.addon_limits (addon, meter, amount) VALUES ('extra-storage', 'storage', 1000)`

const priceSQL = `
INSERT INTO billing.prices (price_id, livemode, plan, addon, product_id, amount_minor, currency)
VALUES ($1, false, CASE WHEN NOT $3 THEN $2 END, CASE WHEN $3 THEN $2 END, 'nself_' || $2, $4, 'usd')`

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{here: pgtest.Database(t), beside: pgtest.Database(t)}
	server, err := newStandIn(stand.Config{})
	if err != nil {
		t.Fatal(err)
	}
	prices, err := stock(server)
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*pgtest.DB{s.here, s.beside} {
		super := db.Superuser(t)
		if _, err := super.Exec(t.Context(), catalogSQL); err != nil {
			t.Fatal(err)
		}
		for i, one := range sold {
			if _, err := super.Exec(t.Context(), priceSQL, prices[i], one.code, one.addon, one.amount); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func newStandIn(config stand.Config) (*stand.Server, error) {
	config.Key, config.Seed = key, 1
	return stand.New(config)
}

// stock puts what is sold into a stand-in. Its prices have the same ids in each.
func stock(server *stand.Server) ([]string, error) {
	client, err := newClient(server.Transport())
	if err != nil {
		return nil, err
	}
	var prices []string
	ctx := context.Background()
	for _, one := range sold {
		product := "nself_" + one.code
		if _, err := client.CreateProduct(ctx, "product "+product, product, product); err != nil {
			return nil, err
		}
		made, err := client.CreatePrice(ctx, "price "+product, stripeapi.PriceInput{Product: product, LookupKey: product, AmountMinor: one.amount, Currency: "usd"})
		if err != nil {
			return nil, err
		}
		prices = append(prices, made.ID)
	}
	return prices, nil
}

func newClient(way http.RoundTripper) (*stripeapi.Client, error) {
	return stripeapi.New(stripeapi.Config{Key: key, URL: "http://stripe.test", HTTP: &http.Client{Transport: way}})
}

// player plays one history after another on connections of its own.
type player struct {
	here, beside, super, superBeside *pgxpool.Pool
	chaos                            *chaos
	box                              *seal.Box
	post                             *queue.Outbox
}

func (s *stage) newPlayer(t *testing.T) *player {
	t.Helper()
	p := &player{chaos: &chaos{}}
	p.here = pool(t, s.here.URL("nself_server"), p.chaos)
	p.beside = pool(t, s.beside.URL("nself_server"), nil)
	p.super, p.superBeside = pool(t, s.here.URL("postgres"), nil), pool(t, s.beside.URL("postgres"), nil)
	var err error
	if p.box, err = seal.New(bytes.Repeat([]byte{7}, 32)); err == nil {
		p.post, err = queue.New(p.box)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pool is a small pool whose statements go wrong as the tracer has it.
func pool(t *testing.T, url string, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 4
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan" // planning would cost more than the rest
	if c, ok := tracer.(*chaos); ok {
		config.ConnConfig.Tracer = c
		config.ConnConfig.DialFunc = c.dial
	}
	made, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	return made
}

// read reads one value as the superuser.
func read[T any](pool *pgxpool.Pool, sql string, args ...any) (value T, err error) {
	if err = pool.QueryRow(context.Background(), sql, args...).Scan(&value); err != nil {
		err = fmt.Errorf("%.60s…: %w", sql, err)
	}
	return value, err
}
