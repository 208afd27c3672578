package stripe

import "net/url"

// endpoint is where events are delivered to.
type endpoint struct {
	ID            string   `json:"id"`
	Object        string   `json:"object"`
	APIVersion    ref      `json:"api_version"`
	Application   ref      `json:"application"`
	Created       int64    `json:"created"`
	Description   ref      `json:"description"`
	EnabledEvents []string `json:"enabled_events"`
	Livemode      bool     `json:"livemode"`
	Metadata      metadata `json:"metadata"`
	Status        string   `json:"status"`
	URL           string   `json:"url"`
}

// endpointRow is an endpoint with its secret, which only the reply to its making tells.
type endpointRow struct {
	endpoint
	Secret string `json:"secret"`
}

func (e *endpointRow) ident() string { return e.ID }
func (e *endpointRow) wire() any     { return &e.endpoint }
func (e *endpointRow) clock() string { return "" }

// endpointChange is what may be set on an endpoint.
type endpointChange struct {
	url, description *string
	events           []string
	disabled         *bool
	metadata         map[string]string
}

func readEndpoint(in *form) endpointChange {
	change := endpointChange{url: in.text("url"), description: in.text("description"), events: in.texts("enabled_events"), metadata: in.metadata()}
	if change.url != nil {
		if u, err := url.Parse(*change.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			in.refuse(invalid("url_invalid", "url", "Invalid URL: URL must be a well-formed http or https URL."))
		}
	}
	if in.given("enabled_events") && len(change.events) == 0 {
		in.refuse(invalid("parameter_invalid_empty", "enabled_events", "You must give at least one event, or '*'."))
	}
	return change
}

func (e *endpointRow) apply(change endpointChange) {
	if change.url != nil {
		e.URL = *change.url
	}
	if change.events != nil {
		e.EnabledEvents = change.events
	}
	if change.disabled != nil {
		e.Status = "enabled"
		if *change.disabled {
			e.Status = "disabled"
		}
	}
	set(&e.Description, change.description)
	e.Metadata = e.Metadata.merge(change.metadata)
}

func (s *Server) createEndpoint(c *call) (any, error) {
	change, version := readEndpoint(c.in), c.in.word("api_version")
	c.in.need("url")
	c.in.yes("connect")
	if change.events == nil {
		c.in.refuse(invalid("parameter_missing", "enabled_events", "Missing required param: enabled_events."))
	}
	if version != "" && version != Version {
		c.in.refuse(invalid("", "api_version", "Invalid API version: %s. This stand-in tells events in %s alone.", version, Version))
	}
	if err := c.in.done(); err != nil {
		return nil, err
	}
	e := &endpointRow{endpoint: endpoint{ID: s.token("we_"), Object: "webhook_endpoint", APIVersion: ref(version), Created: s.now(""), Status: "enabled"},
		Secret: s.token("whsec_") + s.token("")[:8]}
	e.apply(change)
	s.state.Endpoints.put(e)
	made := *e
	return &made, nil
}

func (s *Server) findEndpoint(id string) (*endpointRow, error) {
	if e := s.state.Endpoints.get(id); e != nil {
		return e, nil
	}
	return nil, absent("webhook endpoint", id, "webhook_endpoint")
}

func (s *Server) retrieveEndpoint(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	e, err := s.findEndpoint(c.id)
	if err != nil {
		return nil, err
	}
	return e.wire(), nil
}

func (s *Server) updateEndpoint(c *call) (any, error) {
	change := readEndpoint(c.in)
	change.disabled = c.in.yes("disabled")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	e, err := s.findEndpoint(c.id)
	if err != nil {
		return nil, err
	}
	e.apply(change)
	return e.wire(), nil
}

func (s *Server) deleteEndpoint(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	e, err := s.findEndpoint(c.id)
	if err != nil {
		return nil, err
	}
	s.state.Endpoints.remove(e.ID)
	return &gone{ID: e.ID, Object: e.Object, Deleted: true}, nil
}

func (s *Server) listEndpoints(c *call) (any, error) {
	p := c.in.paging()
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Endpoints, p, "/v1/webhook_endpoints", func(*endpointRow) bool { return true })
}
