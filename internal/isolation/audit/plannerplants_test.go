package audit

var plannerPlants = []plant{
	{rule: "planner-index-lost", object: "crm.contacts (by_terms)", sql: `CREATE INDEX by_terms ON crm.contacts USING gin (terms)`},
	{rule: "planner-index-lost", object: "crm.contacts (by_doc)", sql: `CREATE INDEX by_doc ON crm.contacts USING gin (doc jsonb_path_ops)`},
	{rule: "planner-index-lost", object: "crm.contacts (by_prefix)", sql: `CREATE INDEX by_prefix ON crm.contacts (email text_pattern_ops)`},
	{rule: "planner-index-lost", object: "crm.contacts (by_words)", sql: `CREATE INDEX by_words ON crm.contacts USING gin (to_tsvector('english', notes)) WHERE notes IS NOT NULL`},
	{rule: "planner-index-lost", object: "crm.contacts (by_doc)", sql: `
		CREATE INDEX by_doc ON crm.contacts USING gin (doc jsonb_path_ops); CREATE INDEX by_terms ON crm.contacts USING gin (terms)`,
		also: []string{"planner-index-lost: crm.contacts (by_terms)"}},
	{rule: "planner-skew-hidden", object: "crm.companies.tenant_id", sql: `
		SET LOCAL session_replication_role = replica;
		INSERT INTO crm.companies (tenant_id) SELECT CASE WHEN n % 2 = 0 THEN md5('largest') ELSE md5((n % 500)::text) END::uuid FROM generate_series(1, 24000) n;
		SET LOCAL session_replication_role = origin;
		ANALYZE crm.companies`},
}
