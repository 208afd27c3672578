package stripe

import (
	"regexp"
	"strings"
)

func (s *Server) listCustomers(c *call) (any, error) {
	p, email, clock, created := c.in.paging(), c.in.text("email"), c.in.word("test_clock"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Customers, p, "/v1/customers", func(row *customerRow) bool {
		return !row.Gone && (email == nil || string(row.Email) == *email) && onClock(clock, row.TestClock) && created.holds(row.Created)
	})
}

// onClock keeps what lives by a test clock out of lists that do not name it, as Stripe does.
func onClock(asked string, has ref) bool { return string(has) == asked }

// found is a page of a search.
type found struct {
	Object   string `json:"object"`
	Data     []any  `json:"data"`
	HasMore  bool   `json:"has_more"`
	NextPage any    `json:"next_page"`
	URL      string `json:"url"`
}

// term is one condition of a search: metadata['key']:'value', email:'value', name~'part'.
var term = regexp.MustCompile(`^\s*(-?)(metadata\[["']([^"']+)["']\]|email|name|phone)\s*([:~])\s*["']((?:[^"'\\]|\\.)*)["']\s*(AND\s+|and\s+|$)`)

type condition struct {
	not, part         bool
	field, key, value string
}

func conditions(query string) ([]condition, error) {
	var all []condition
	for rest := query; strings.TrimSpace(rest) != "" || len(all) == 0; {
		m := term.FindStringSubmatch(rest)
		if m == nil {
			return nil, invalid("", "query", "We were unable to parse your search query: %s.", query)
		}
		field, _, _ := strings.Cut(m[2], "[")
		all = append(all, condition{not: m[1] == "-", part: m[4] == "~", field: field, key: m[3], value: strings.ReplaceAll(m[5], `\`, "")})
		rest = rest[len(m[0]):]
	}
	return all, nil
}

func (q condition) holds(row *customerRow) bool {
	has, set := "", true
	switch q.field {
	case "email":
		has = string(row.Email)
	case "name":
		has = string(row.Name)
	case "phone":
		has = string(row.Phone)
	default:
		has, set = row.Metadata[q.key]
	}
	is := set && (strings.EqualFold(has, q.value) || q.part && strings.Contains(strings.ToLower(has), strings.ToLower(q.value)))
	return is != q.not
}

func (s *Server) searchCustomers(c *call) (any, error) {
	query, p := c.in.need("query"), c.in.paging()
	p.after = c.in.word("page")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	all, err := conditions(query)
	if err != nil {
		return nil, err
	}
	list, err := pick(&s.state.Customers, p, "/v1/customers/search", func(row *customerRow) bool {
		for _, q := range all {
			if row.Gone || !q.holds(row) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	result := &found{Object: "search_result", Data: list.Data, HasMore: list.HasMore, URL: list.URL}
	if list.HasMore {
		result.NextPage = list.Data[len(list.Data)-1].(*customer).ID
	}
	return result, nil
}
