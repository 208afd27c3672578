-- Gives the roles that sign in their passwords, from the environment of psql. They are
-- sent to a server that is told not to log them.
\getenv owner NSELF_OWNER_PASSWORD
\getenv server NSELF_SERVER_PASSWORD
\getenv app NSELF_APP_PASSWORD
\getenv hasura NSELF_HASURA_PASSWORD
SET log_statement = none;
SET log_min_error_statement = panic;
SET log_min_duration_statement = -1;
BEGIN;
ALTER ROLE nself_owner PASSWORD :'owner';
ALTER ROLE nself_server PASSWORD :'server';
ALTER ROLE nself_app PASSWORD :'app';
ALTER ROLE nself_hasura PASSWORD :'hasura';
COMMIT;
