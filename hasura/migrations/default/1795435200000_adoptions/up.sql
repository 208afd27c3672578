-- What `nself tenant adopt` needs in the database while it fills a tenant column that was
-- there before and may be null, and for as long as the rows of before are on their way to a
-- tenant.
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

  -- The rows of a live database would go with the tenant that they are about to belong to,
  -- or every write of theirs fail for want of it.
  CREATE FUNCTION nself.refuse_adopting_tenant() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF EXISTS (SELECT FROM nself.adoptions a WHERE a.state IN ('running', 'undoing') AND a.options ->> 'tenant' = OLD.id::text) THEN
      RAISE EXCEPTION 'an adoption that gives its rows to tenant % is open', OLD.id
        USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'adoption_open', HINT = 'Take it back with nself tenant adopt --undo, or end it.';
    END IF;
    RETURN OLD;
  END
  $function$;
  CREATE TRIGGER refuse_adopting BEFORE DELETE ON tenants.tenants
    FOR EACH ROW EXECUTE FUNCTION nself.refuse_adopting_tenant();

  REVOKE ALL ON FUNCTION nself.fill_tenant(), nself.refuse_adopting_tenant() FROM PUBLIC;
END
$migration$;
