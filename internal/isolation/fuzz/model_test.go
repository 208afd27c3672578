package fuzz

import (
	"maps"
	"slices"
)

// frame is who is in force for a statement.
type frame struct {
	tenant int  // whose rows may come; nobody: none may
	broken bool // the setting cannot be read, so asking for rows fails
	bound  bool // the role is one that policies bind to a tenant; nself_server itself is not
}

// tenants is a set of tenants by number.
type tenants map[int]bool

// allowed is whose rows may come back under the frame.
func (f frame) allowed() tenants {
	switch {
	case !f.bound:
		return tenants{0: true, 1: true, 2: true, bystander: true, suspended: true}
	case f.tenant == nobody:
		return tenants{}
	}
	return tenants{f.tenant: true}
}

// model follows what a client's statements do to the context in force.
type model struct {
	login   login
	hidden  bool // the login shares its server sessions with others
	frame   frame
	saves   []save
	inTx    bool
	aborted bool
	cursor  tenants // whose rows the cursor c may hold
	held    tenants // whose rows the cursor h may hold
	holding bool    // h was declared in this transaction
	named   tenants // who was in force in this transaction
}

type save struct {
	name  string
	frame frame
}

func (m *model) outside() frame { return frame{tenant: nobody, bound: m.login == app} }

// expects is whose rows the statement may bring.
func (m *model) expects(o op) tenants {
	allowed := m.frame.allowed()
	switch o.effect {
	case fetch:
		maps.Copy(allowed, m.cursor)
	case fetchHeld:
		maps.Copy(allowed, m.held)
	}
	return allowed
}

// done tells the model that a statement was run, and whether it failed.
func (m *model) done(o op, failed bool) {
	switch {
	case o.effect == rollback || o.effect == commit:
		m.end()
		return
	case o.effect == rollbackTo && !failed:
		m.rollBackTo(o.save)
		return
	case failed:
		m.aborted = m.inTx
		return
	}
	m.change(o)
	if m.frame.bound && m.frame.tenant != nobody {
		m.named[m.frame.tenant] = true
	}
	// A cursor is filled as it is fetched from, or when the transaction ends: in whatever context is in force then.
	maps.Copy(m.cursor, m.frame.allowed())
	if m.holding {
		maps.Copy(m.held, m.frame.allowed())
	}
}

func (m *model) change(o op) {
	switch o.effect {
	case begin:
		m.inTx, m.frame = true, m.outside()
	case savepoint:
		m.saves = append(m.saves, save{o.save, m.frame})
	case release:
		m.saves = m.saves[:m.find(o.save)]
	case enter:
		m.frame.tenant, m.frame.broken = o.to.force, o.to.broken
		if o.is("become nself_tenant") {
			m.frame.bound = true
		}
	case become:
		m.frame.bound = true
	case leave:
		m.frame.bound = m.login == app
	case declare:
		m.cursor = tenants{}
	case hold:
		m.held, m.holding = tenants{}, true
	}
}

func (m *model) find(name string) int {
	for i, s := range slices.Backward(m.saves) {
		if s.name == name {
			return i
		}
	}
	return 0
}

func (m *model) rollBackTo(name string) {
	at := m.find(name)
	m.frame, m.aborted = m.saves[at].frame, false
	m.saves = m.saves[:at+1]
}

func (m *model) end() {
	m.inTx, m.aborted, m.holding, m.saves, m.cursor = false, false, false, nil, tenants{}
	m.frame = m.outside()
	if m.hidden {
		m.held = tenants{}
	}
}
