-- These migrations go forward only: taking a table of tenants away is no way back.
DO $$
BEGIN
  RAISE EXCEPTION 'forward only: restore a backup, or write a new migration' USING ERRCODE = 'feature_not_supported';
END
$$;
