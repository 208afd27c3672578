package isolation

import "encoding/json"

// storedProtection is a Protection as it is kept in the database between the runs of an
// adoption.
type storedProtection struct {
	Tables     List            `json:"tables"`
	Statements []string        `json:"statements"`
	Handover   []string        `json:"handover"`
	Notes      []string        `json:"notes"`
	Beside     List            `json:"beside"` // tables whose relationships follow a reference
	Widened    []storedWidened `json:"widened"`
}

type storedWidened struct {
	From    Name     `json:"from"`
	To      Name     `json:"to"`
	Columns []string `json:"columns"`
	Tenant  string   `json:"tenant"`
}

// MarshalJSON keeps all that Migration, Files and Metadata need.
func (p Protection) MarshalJSON() ([]byte, error) {
	stored := storedProtection{Tables: p.Tables, Statements: p.Statements, Handover: p.Handover, Notes: p.Notes, Beside: p.concerned()[len(p.Tables):]}
	for _, w := range p.widened {
		stored.Widened = append(stored.Widened, storedWidened{From: w.from(), To: w.to(), Columns: w.Columns, Tenant: w.tenant})
	}
	return json.Marshal(stored)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Protection) UnmarshalJSON(text []byte) error {
	var stored storedProtection
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	*p = Protection{Tables: stored.Tables, Statements: stored.Statements, Handover: stored.Handover, Notes: stored.Notes, list: stored.Beside}
	for _, w := range stored.Widened {
		p.widened = append(p.widened, widened{tenant: w.Tenant, foreignKey: foreignKey{FromSchema: w.From.Schema, FromTable: w.From.Name,
			ToSchema: w.To.Schema, ToTable: w.To.Name, Columns: w.Columns}})
	}
	return nil
}
