package stripeapi

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// pageSize is how many objects of a list come at once: the most that Stripe gives.
const pageSize = 100

// ids are Stripe's, and those of products, which are ours.
var ids = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$`)

func read(ctx context.Context) stripe.Params { return stripe.Params{Context: ctx} }

func write(ctx context.Context, key string) stripe.Params {
	return stripe.Params{Context: ctx, IdempotencyKey: &key}
}

// at calls for the object of an id. An id that cannot be one is not sent: in a path it might
// name something else.
func at[P stripe.ParamsContainer, S, T any](id string, params P, do func(string, P) (*S, error), convert func(*S) (string, T)) (T, error) {
	if !ids.MatchString(id) {
		var none T
		return none, &Error{Kind: NotFound, Message: fmt.Sprintf("%.80q is no id of Stripe's", scrub(id))}
	}
	return call(params, func(params P) (*S, error) { return do(id, params) }, convert)
}

// call makes one call. convert answers the object's id and what it is here.
func call[P stripe.ParamsContainer, S, T any](params P, do func(P) (*S, error), convert func(*S) (string, T)) (T, error) {
	var none T
	if key := params.GetParams().IdempotencyKey; key != nil && (*key == "" || len(*key) > 255) {
		return none, refused("an idempotency key has 1 to 255 characters, not %d", len(*key))
	}
	object, err := do(params)
	if err != nil {
		return none, failed(err)
	}
	id, converted := convert(object)
	if id == "" {
		return none, &Error{Kind: Lost, Message: "the answer holds no object"}
	}
	return converted, nil
}

// pager is a page of one of the library's lists.
type pager interface {
	Next() bool
	Current() any
	Err() error
	Meta() *stripe.ListMeta
}

// list goes through a list as it is ranged over, page by page; an error ends it. A list that
// does not go on where it says so is an error too: its end would be taken for that of what is
// there.
func list[S, T any](ctx context.Context, page func(stripe.ListParams) pager, convert func(*S) (string, T)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		params := stripe.ListParams{Context: ctx, Limit: stripe.Int64(pageSize), Single: true}
		for {
			objects, last := page(params), ""
			for objects.Next() {
				object, _ := objects.Current().(*S)
				if object == nil {
					yield(none, broken())
					return
				}
				id, converted := convert(object)
				if last = id; !yield(converted, nil) {
					return
				}
			}
			if err := ended(objects, last, params.StartingAfter); err != nil {
				yield(none, err)
				return
			}
			if !objects.Meta().HasMore {
				return
			}
			params.StartingAfter = &last
		}
	}
}

// ended says what is wrong with a page that began after one object and ended with another.
func ended(objects pager, last string, after *string) error {
	if err := objects.Err(); err != nil {
		return failed(err)
	}
	meta := objects.Meta()
	if meta.URL == "" || meta.HasMore && (last == "" || after != nil && *after == last) {
		return broken()
	}
	return nil
}

func broken() error { return &Error{Kind: Lost, Message: "what came back is no list of Stripe's"} }

// since is the filter of objects by their age; the zero time filters none.
func since(from time.Time) *stripe.RangeQueryParams {
	if from.IsZero() {
		return nil
	}
	return &stripe.RangeQueryParams{GreaterThanOrEqual: from.Unix()}
}

// optional leaves a parameter out where it is empty.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// moment reads a time of Stripe's: seconds, 0 for none.
func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
