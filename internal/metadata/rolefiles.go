package metadata

const (
	defaultSource      = "default"
	inheritedRolesFile = "inherited_roles.yaml"
	remoteSchemasFile  = "remote_schemas.yaml"
)

// readRoles reads inherited_roles.yaml, which need not exist.
func (m *Metadata) readRoles(r *reader) error {
	if err := r.optional(inheritedRolesFile, &m.InheritedRoles); err != nil {
		return err
	}
	return checkInheritedRoles(inheritedRolesFile, m.InheritedRoles)
}

// readRemoteSchemas reads remote_schemas.yaml, which need not exist.
func (m *Metadata) readRemoteSchemas(r *reader) error {
	return r.optional(remoteSchemasFile, &m.RemoteSchemas)
}

// optional reads a file strictly into out. A file that cannot be parsed is a fault of
// readPassedOn, and no second one here.
func (r *reader) optional(file string, out any) error {
	if node, err := r.readOptional(file); err == nil && node != nil {
		return r.strict(node, file, "list", out)
	}
	return nil
}
