package actions

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxAgain is how often a transaction that got into another's way begins anew.
const maxAgain = 3

// again runs a transaction, and once more where Postgres ended it to let another go on: then
// nothing of it is left, and the other is out of the way. The last error is returned.
func again(ctx context.Context, transaction func() error) error {
	err := transaction()
	for range maxAgain {
		if !inTheWay(err) || ctx.Err() != nil {
			break
		}
		err = transaction()
	}
	return err
}

// inTheWay reports whether a transaction ended in a deadlock (40P01), or could not be put
// into an order with others (40001).
func inTheWay(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && (said.Code == "40P01" || said.Code == "40001")
}
