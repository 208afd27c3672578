package stripe

import (
	"strconv"
	"strings"
)

type recurring struct {
	AggregateUsage  ref    `json:"aggregate_usage"`
	Interval        string `json:"interval"`
	IntervalCount   int64  `json:"interval_count"`
	TrialPeriodDays any    `json:"trial_period_days"`
	UsageType       string `json:"usage_type"`
}

// price is what one unit of a product costs, once or per interval.
type price struct {
	ID                string     `json:"id"`
	Object            string     `json:"object"`
	Active            bool       `json:"active"`
	BillingScheme     string     `json:"billing_scheme"`
	Created           int64      `json:"created"`
	Currency          string     `json:"currency"`
	CustomUnitAmount  any        `json:"custom_unit_amount"`
	Livemode          bool       `json:"livemode"`
	LookupKey         ref        `json:"lookup_key"`
	Metadata          metadata   `json:"metadata"`
	Nickname          ref        `json:"nickname"`
	Product           string     `json:"product"`
	Recurring         *recurring `json:"recurring"`
	TaxBehavior       string     `json:"tax_behavior"`
	TiersMode         any        `json:"tiers_mode"`
	TransformQuantity any        `json:"transform_quantity"`
	Type              string     `json:"type"`
	UnitAmount        int64      `json:"unit_amount"`
	UnitAmountDecimal string     `json:"unit_amount_decimal"`
}

func (p *price) ident() string { return p.ID }
func (p *price) wire() any     { return p }
func (p *price) clock() string { return "" }

// currencies are those that can be charged, with the least that a charge may be, in minor
// units; 0 where none is known.
var currencies = map[string]int64{
	"usd": 50, "eur": 50, "gbp": 30, "chf": 50, "cad": 50, "aud": 50, "nzd": 50, "sgd": 50, "brl": 50, "inr": 50, "jpy": 50,
	"sek": 300, "nok": 300, "dkk": 250, "pln": 200, "czk": 1500, "huf": 17500, "ron": 200, "bgn": 100, "mxn": 1000, "hkd": 400,
	"thb": 1000, "myr": 200, "aed": 200, "try": 0, "zar": 0, "ils": 0, "php": 0, "twd": 0, "cny": 0, "uah": 0, "idr": 0,
	"krw": 0, "vnd": 0, "clp": 0, "isk": 0, "pyg": 0, "ugx": 0, "xof": 0, "xaf": 0, "xpf": 0, "bif": 0, "djf": 0, "gnf": 0, "kmf": 0,
	"mga": 0, "rwf": 0, "vuv": 0, "bhd": 0, "jod": 0, "kwd": 0, "omr": 0, "tnd": 0,
}

// threeDecimals are the currencies whose minor unit is a thousandth. Amounts in them end in 0.
var threeDecimals = map[string]bool{"bhd": true, "jod": true, "kwd": true, "omr": true, "tnd": true}

// step is the least by which amounts of a currency differ, in minor units.
func step(currency string) int64 {
	if threeDecimals[currency] {
		return 10
	}
	return 1
}

// roundly refuses an amount that could not be charged.
func roundly(param string, amount int64, currency string) *apiError {
	if amount%step(currency) == 0 {
		return nil
	}
	return invalid("", param, "Invalid %s: %d. The last digit of an amount in %s must be 0.", param, amount, currency)
}

func (f *form) currency() string {
	word := strings.ToLower(f.need("currency"))
	if _, ok := currencies[word]; !ok && *f.fault == nil {
		f.refuse(invalid("", "currency", "Invalid currency: %s. Stripe currently supports these currencies: usd, eur, gbp, jpy and others.", word))
	}
	return word
}

// readPrice reads what a new price is made of; its product is looked at later.
func readPrice(in *form) *price {
	p := &price{Object: "price", Active: true, BillingScheme: "per_unit", Currency: in.currency(), LookupKey: ref(in.word("lookup_key")),
		Nickname: ref(in.word("nickname")), Product: in.need("product"), Type: "one_time", Metadata: metadata{}.merge(in.metadata())}
	in.choice("billing_scheme", "per_unit")
	p.TaxBehavior = in.choice("tax_behavior", "inclusive", "exclusive", "unspecified")
	if p.TaxBehavior == "" {
		p.TaxBehavior = "unspecified"
	}
	if active := in.yes("active"); active != nil {
		p.Active = *active
	}
	p.UnitAmountDecimal = in.need("unit_amount")
	if amount := in.whole("unit_amount"); amount != nil {
		p.UnitAmount = *amount
		if *amount < 0 {
			in.refuse(invalid("parameter_invalid_integer", "unit_amount", "This value must be greater than or equal to 0."))
		}
		if e := roundly("unit_amount", *amount, p.Currency); e != nil {
			in.refuse(e)
		}
	}
	p.UnitAmountDecimal = strconv.FormatInt(p.UnitAmount, 10)
	if in.given("recurring") {
		p.Type, p.Recurring = "recurring", readRecurring(in.sub("recurring"))
	}
	return p
}

func readRecurring(in *form) *recurring {
	in.need("interval")
	r := &recurring{Interval: in.choice("interval", "day", "week", "month", "year"), IntervalCount: 1, UsageType: "licensed"}
	in.choice("usage_type", "licensed")
	if count := in.whole("interval_count"); count != nil {
		r.IntervalCount = *count
	}
	longest := map[string]int64{"day": 1095, "week": 156, "month": 36, "year": 3}[r.Interval]
	if r.IntervalCount < 1 || r.IntervalCount > longest {
		in.refuse(invalid("", "recurring[interval_count]", "Invalid interval_count: it must be at least 1 and at most three years."))
	}
	return r
}

func (s *Server) createPrice(c *call) (any, error) {
	transfer, p := c.in.yes("transfer_lookup_key"), readPrice(c.in)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if _, err := s.findProduct(p.Product, "product"); err != nil {
		return nil, err
	}
	if err := s.takeLookupKey(p.LookupKey, p, transfer != nil && *transfer); err != nil {
		return nil, err
	}
	p.ID, p.Created = s.token("price_"), s.now("")
	s.state.Prices.put(p)
	s.tell("price.created", p)
	return p, nil
}

// takeLookupKey makes sure that one price at most has a lookup key, even where it is not active.
func (s *Server) takeLookupKey(key ref, taker *price, transfer bool) error {
	if key == "" {
		return nil
	}
	for _, other := range s.state.Prices.all() {
		if other == taker || other.LookupKey != key {
			continue
		}
		if !transfer {
			return invalid("", "lookup_key", "A price (`%s`) already uses that lookup key.", other.ID)
		}
		other.LookupKey = ""
		s.changedTo("price.updated", other)
	}
	return nil
}

func (s *Server) findPrice(id, param string) (*price, error) {
	if p := s.state.Prices.get(id); p != nil {
		return p, nil
	}
	return nil, noSuch("price", id, param)
}

func (s *Server) retrievePrice(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return s.findPrice(c.id, "id")
}

func (s *Server) updatePrice(c *call) (any, error) {
	active, key, nickname := c.in.yes("active"), c.in.text("lookup_key"), c.in.text("nickname")
	transfer, changes := c.in.yes("transfer_lookup_key"), c.in.metadata()
	if err := c.in.done(); err != nil {
		return nil, err
	}
	p, err := s.findPrice(c.id, "id")
	if err != nil {
		return nil, err
	}
	if key != nil {
		if err := s.takeLookupKey(ref(*key), p, transfer != nil && *transfer); err != nil {
			return nil, err
		}
	}
	if active != nil {
		p.Active = *active
	}
	set(&p.LookupKey, key)
	set(&p.Nickname, nickname)
	p.Metadata = p.Metadata.merge(changes)
	s.changedTo("price.updated", p)
	return p, nil
}

func (s *Server) listPrices(c *call) (any, error) {
	p, active, keys := c.in.paging(), c.in.yes("active"), c.in.texts("lookup_keys")
	of, kind, currency, created := c.in.word("product"), c.in.choice("type", "recurring", "one_time"), c.in.word("currency"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Prices, p, "/v1/prices", func(row *price) bool {
		return (active == nil || row.Active == *active) && either(keys, string(row.LookupKey)) && (of == "" || row.Product == of) &&
			(kind == "" || row.Type == kind) && (currency == "" || row.Currency == currency) && created.holds(row.Created)
	})
}
