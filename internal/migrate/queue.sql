-- What nself_server may do with the queue's tables, and that nobody else may do anything.
-- River's own migrations grant nothing; this runs in the transaction of the last of them.
-- river_notification stays closed: River uses it where there is no NOTIFY.
REVOKE ALL ON nself.river_migration, nself.river_job, nself.river_leader, nself.river_queue, nself.river_notification FROM PUBLIC;
GRANT SELECT ON nself.river_migration TO nself_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON nself.river_job, nself.river_leader, nself.river_queue TO nself_server;
GRANT USAGE ON SEQUENCE nself.river_job_id_seq TO nself_server;

REVOKE ALL ON FUNCTION nself.river_job_state_in_bitmask(bit, nself.river_job_state) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION nself.river_job_state_in_bitmask(bit, nself.river_job_state) TO nself_server;
REVOKE ALL ON TYPE nself.river_job_state FROM PUBLIC;
