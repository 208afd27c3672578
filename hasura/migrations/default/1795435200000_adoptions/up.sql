-- What `nself tenant adopt` needs in the database while it fills a tenant column that was
-- there before and may be null.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795435200000, 'adoptions') THEN RETURN; END IF;

  -- The trigger of a table that is being adopted: a row that is written without a tenant
  -- gets the one that the rows before it get. Its arguments are the column and the tenant.
  CREATE FUNCTION nself.fill_tenant() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], TG_ARGV[1]));
  END
  $function$;
  REVOKE ALL ON FUNCTION nself.fill_tenant() FROM PUBLIC;
END
$migration$;
