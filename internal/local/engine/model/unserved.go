package model

import (
	"fmt"

	"github.com/nself/tenancy/internal/metadata"
)

// servedSource is the one source whose tables are served.
const servedSource = "default"

// reportUnserved tells of what the table declares and this stand-in leaves out.
func (m *Model) reportUnserved(title string, source metadata.Table) {
	if source.IsEnum {
		m.Report("table", title, "enum tables are not served by this stand-in: their columns keep their own type", source.Table)
	}
	for _, relationship := range source.RemoteRelationships {
		m.Report("remote_relationship", fmt.Sprintf("remote_relationship %s in table %q", relationship.Name, title),
			"relationships to other sources and remote schemas are not served by this stand-in", relationship)
	}
}

// reportElsewhere tells of what is in the metadata and in no table of the one source that
// this stand-in serves.
func (m *Model) reportElsewhere(meta *metadata.Metadata) {
	for _, source := range meta.Sources {
		if source.Name != servedSource {
			m.Report("source", source.Name, "only the source default is served by this stand-in", source)
		}
	}
	for _, schema := range meta.RemoteSchemas {
		m.Report("remote_schema", schema.Name, "remote schemas are not served by this stand-in", schema.Name)
	}
	for _, unread := range meta.Unread {
		m.Report("metadata", "metadata", "this cannot be read: "+unread, unread)
	}
}
