-- Meters, what each tenant may use of them, and what it has used: periods, totals and
-- the records that the totals are the sum of.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795406400000, 'usage') THEN RETURN; END IF;
  SET LOCAL lock_timeout = '5s';

  -- Parked events are delivered again by the server itself, to the handler they came for.
  -- First: a handler has its event's row locked when it comes to the tenant's.
  ALTER TABLE nself.inbox ADD COLUMN handler text, ADD COLUMN settled_at timestamptz;
  CREATE INDEX inbox_parked ON nself.inbox (received_at) WHERE state = 'parked';
  CREATE INDEX inbox_received ON nself.inbox (received_at);
  CREATE INDEX ON nself.idempotency_keys (created_at);

  CREATE TABLE billing.meters (
    code          text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]{0,62}$'),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    unit          text NOT NULL DEFAULT '' CHECK (length(unit) <= 30),
    aggregation   text NOT NULL CHECK (aggregation IN ('sum', 'count', 'max', 'unique', 'level')),
    deciding      text NOT NULL DEFAULT 'strict' CHECK (deciding IN ('strict', 'leased')),
    lease_size    bigint NOT NULL DEFAULT 100 CHECK (lease_size BETWEEN 1 AND 1000000000),
    on_outage     text NOT NULL DEFAULT 'refuse' CHECK (on_outage IN ('refuse', 'allow')),
    default_limit bigint NOT NULL DEFAULT -1 CHECK (default_limit >= -1),
    built_in      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT meters_lease_what_adds_up CHECK (deciding = 'strict' OR aggregation IN ('sum', 'count'))
  );
  COMMENT ON COLUMN billing.meters.aggregation IS 'of a period: sum or count of the amounts, their greatest, how many different values; level: what there is now, which no period ends';
  COMMENT ON COLUMN billing.meters.deciding IS 'strict: every decision in the database; leased: a server decides in memory over a part it took';
  COMMENT ON COLUMN billing.meters.lease_size IS 'the most that a server that dies keeps from others until the period ends';
  COMMENT ON COLUMN billing.meters.on_outage IS 'what is decided while the database is away: refuse, or allow and count later';
  COMMENT ON COLUMN billing.meters.default_limit IS 'of plans that say nothing of the meter; -1 is unlimited';
  INSERT INTO billing.meters (code, name, unit, aggregation, deciding, lease_size, on_outage, built_in) VALUES
    ('api_requests', 'API requests', 'requests', 'count', 'leased', 200, 'allow', true),
    ('storage', 'Storage', 'bytes', 'level', 'strict', 1, 'refuse', true),
    ('compute_hours', 'Compute', 'hours', 'sum', 'strict', 1, 'refuse', true),
    ('users', 'Users', 'users', 'level', 'strict', 1, 'refuse', true);

  INSERT INTO billing.meters (code, name, aggregation) SELECT DISTINCT meter, meter, 'sum' FROM billing.plan_limits ON CONFLICT DO NOTHING;
  ALTER TABLE billing.plan_limits
    ADD CONSTRAINT plan_limits_meter_fkey FOREIGN KEY (meter) REFERENCES billing.meters ON UPDATE CASCADE ON DELETE CASCADE,
    ADD COLUMN overage_minor bigint CHECK (overage_minor >= 0),
    ADD COLUMN overage_unit bigint NOT NULL DEFAULT 1 CHECK (overage_unit > 0);
  CREATE INDEX ON billing.plan_limits (meter);
  COMMENT ON COLUMN billing.plan_limits.overage_minor IS 'of a soft limit: the price of each overage_unit begun past it, in minor units of the plan''s currency; null: none';

  CREATE TABLE billing.tenant_limits (
    tenant_id   uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    meter       text NOT NULL CONSTRAINT tenant_limits_meter_fkey REFERENCES billing.meters ON UPDATE CASCADE ON DELETE CASCADE,
    "limit"     bigint NOT NULL CHECK ("limit" >= -1),
    enforcement text NOT NULL DEFAULT 'hard' CHECK (enforcement IN ('soft', 'hard')),
    reason      text CHECK (length(reason) <= 500),
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, meter)
  );
  CREATE INDEX ON billing.tenant_limits (meter);
  COMMENT ON TABLE billing.tenant_limits IS 'what one tenant may use in place of what its plan says';

  CREATE TABLE billing.billing_cycles (
    tenant_id  uuid PRIMARY KEY REFERENCES tenants.tenants ON DELETE CASCADE,
    anchor_at  timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
  );
  COMMENT ON COLUMN billing.billing_cycles.anchor_at IS 'periods begin at this time of this day of each month (UTC), on the last day where a month is shorter; tenants without a row go by the calendar month of their time zone';

  CREATE TABLE billing.usage_periods (
    tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL,
    closed_at timestamptz,
    rolled_at timestamptz,
    PRIMARY KEY (tenant_id, starts_at),
    CHECK (starts_at < ends_at)
  );
  CREATE INDEX usage_periods_to_close ON billing.usage_periods (ends_at) WHERE closed_at IS NULL;
  COMMENT ON TABLE billing.usage_periods IS 'each begins where the one before ends; a change of time zone or cycle moves the end of the last one at most';
  COMMENT ON COLUMN billing.usage_periods.closed_at IS 'from then on nothing is counted in it';
  COMMENT ON COLUMN billing.usage_periods.rolled_at IS 'when the days of its records were last added up';

  CREATE TABLE billing.usage_totals (
    tenant_id    uuid NOT NULL,
    meter        text NOT NULL REFERENCES billing.meters ON UPDATE CASCADE,
    period_start timestamptz NOT NULL,
    used         numeric(38,9) NOT NULL DEFAULT 0,
    held         numeric(38,9) NOT NULL DEFAULT 0 CHECK (held >= 0),
    events       bigint NOT NULL DEFAULT 0,
    reached      smallint NOT NULL DEFAULT 0 CHECK (reached IN (0, 80, 100)),
    level_hours  numeric(38,9) NOT NULL DEFAULT 0,
    level_at     timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, meter, period_start),
    FOREIGN KEY (tenant_id, period_start) REFERENCES billing.usage_periods ON UPDATE CASCADE ON DELETE CASCADE
  ) WITH (fillfactor = 60);
  CREATE INDEX ON billing.usage_totals (tenant_id, period_start);
  CREATE INDEX ON billing.usage_totals (meter);
  COMMENT ON COLUMN billing.usage_totals.used IS 'of the accepted events; of a level what there is now (below 0 while events are on their way)';
  COMMENT ON COLUMN billing.usage_totals.held IS 'reserved and leased: neither used nor free';
  COMMENT ON COLUMN billing.usage_totals.events IS 'records that were added to it';
  COMMENT ON COLUMN billing.usage_totals.reached IS 'the warning threshold that used is at, in percent of the limit: an event trigger listens to this column alone';
  COMMENT ON COLUMN billing.usage_totals.level_hours IS 'of a level: its integral over the period until level_at, in units times hours';

  -- A record is never changed. Partitions are by month of recording (UTC) and go after
  -- their retention; the totals stay.
  CREATE TABLE billing.usage_records (
    tenant_id       uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    meter           text NOT NULL,
    period_start    timestamptz NOT NULL,
    at              timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    amount          numeric(38,9) NOT NULL,
    value           text,
    idempotency_key text,
    source          text NOT NULL CHECK (source IN ('record', 'trigger', 'take', 'reservation', 'lease', 'reversal'))
  ) PARTITION BY RANGE (recorded_at);
  CREATE INDEX usage_records_tenant_meter_at ON billing.usage_records (tenant_id, meter, at);
  COMMENT ON COLUMN billing.usage_records.value IS 'of a meter that counts different values: which one';
  COMMENT ON COLUMN billing.usage_records.amount IS 'what it added; negative: a reversal, or a level that fell';

  CREATE TABLE billing.usage_keys (
    tenant_id   uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    key_hash    uuid NOT NULL,
    content     bigint NOT NULL,
    at          timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    reversed_at timestamptz,
    PRIMARY KEY (tenant_id, key_hash)
  );
  CREATE INDEX ON billing.usage_keys (recorded_at);
  COMMENT ON TABLE billing.usage_keys IS 'the idempotency keys of the last 35 days, and of every period that is open: each event is counted once';
  COMMENT ON COLUMN billing.usage_keys.key_hash IS 'the first 128 bits of the SHA-256 of the key';
  COMMENT ON COLUMN billing.usage_keys.content IS 'hash of the event: the same key with another one is told';

  CREATE TABLE billing.usage_values (
    tenant_id    uuid NOT NULL,
    meter        text NOT NULL,
    period_start timestamptz NOT NULL,
    value_hash   uuid NOT NULL,
    events       bigint NOT NULL,
    PRIMARY KEY (tenant_id, meter, period_start, value_hash),
    FOREIGN KEY (tenant_id, meter, period_start) REFERENCES billing.usage_totals ON UPDATE CASCADE ON DELETE CASCADE
  );
  COMMENT ON TABLE billing.usage_values IS 'of meters that count different values: which were seen in a period, and how often (reversals take off)';

  CREATE TABLE billing.usage_daily (
    tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    meter     text NOT NULL REFERENCES billing.meters ON UPDATE CASCADE,
    day       date NOT NULL,
    amount    numeric(38,9) NOT NULL,
    events    bigint NOT NULL,
    PRIMARY KEY (tenant_id, meter, day)
  );
  CREATE INDEX ON billing.usage_daily (meter);
  COMMENT ON TABLE billing.usage_daily IS 'rolled up from the records by the day (UTC) they are of, and kept when those are gone';

  CREATE TABLE billing.usage_drift (
    tenant_id    uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    meter        text NOT NULL REFERENCES billing.meters ON UPDATE CASCADE,
    period_start timestamptz NOT NULL,
    what         text NOT NULL DEFAULT 'used' CHECK (what IN ('used', 'held')),
    total        numeric(38,9) NOT NULL,
    counted      numeric(38,9) NOT NULL,
    found_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, meter, period_start, what)
  );
  CREATE INDEX ON billing.usage_drift (meter);
  COMMENT ON TABLE billing.usage_drift IS 'totals that the last reconciliation found unequal to what they are totals of';

  CREATE TABLE billing.meter_sources (
    table_schema  text NOT NULL,
    table_name    text NOT NULL,
    meter         text NOT NULL CONSTRAINT meter_sources_meter_fkey REFERENCES billing.meters ON UPDATE CASCADE ON DELETE CASCADE,
    tenant_column text NOT NULL DEFAULT 'tenant_id',
    amount_column text,
    value_column  text,
    time_column   text,
    built_in      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (table_schema, table_name, meter)
  );
  CREATE INDEX ON billing.meter_sources (meter);
  COMMENT ON TABLE billing.meter_sources IS 'tables whose events (an event trigger of Hasura to /events/usage) are usage';
  COMMENT ON COLUMN billing.meter_sources.amount_column IS 'null: each row is one';
  COMMENT ON COLUMN billing.meter_sources.time_column IS 'a timestamptz that says when; null: when it was delivered';

  CREATE TABLE tenants.storage_objects (
    tenant_id      uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id             uuid NOT NULL DEFAULT gen_random_uuid(),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 1024),
    size_bytes     bigint NOT NULL CHECK (size_bytes >= 0),
    content_type   text NOT NULL DEFAULT 'application/octet-stream' CHECK (length(content_type) <= 255),
    reservation_id uuid,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT storage_objects_name_key UNIQUE (tenant_id, name)
  );
  COMMENT ON TABLE tenants.storage_objects IS 'the files a tenant keeps: whoever stores one adds its row, and the meter storage follows';
  COMMENT ON COLUMN tenants.storage_objects.reservation_id IS 'the reservation it was stored under, which ends when the row is counted';
  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON tenants.storage_objects FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();
  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON billing.tenant_limits FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();
  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON billing.billing_cycles FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();

  INSERT INTO billing.meter_sources (table_schema, table_name, meter, amount_column, built_in) VALUES
    ('tenants', 'tenant_members', 'users', NULL, true),
    ('tenants', 'storage_objects', 'storage', 'size_bytes', true);

  -- What a tenant may use of a meter: what was agreed with it, else its plan, else the
  -- meter's default. No row: no such tenant or meter.
  CREATE FUNCTION billing.entitlement(tenant uuid, meter text)
    RETURNS TABLE ("limit" bigint, enforcement text, source text)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
    BEGIN ATOMIC
      SELECT coalesce(o."limit", l."limit", m.default_limit),
             coalesce(o.enforcement, l.enforcement, 'hard'),
             CASE WHEN o.meter IS NOT NULL THEN 'tenant' WHEN l.meter IS NOT NULL THEN 'plan' ELSE 'default' END
      FROM tenants.tenants t
      JOIN billing.meters m ON m.code = entitlement.meter
      LEFT JOIN billing.tenant_limits o ON o.tenant_id = t.id AND o.meter = m.code AND (o.expires_at IS NULL OR o.expires_at > now())
      LEFT JOIN billing.plan_limits l ON l.plan = t.plan AND l.meter = m.code
      WHERE t.id = entitlement.tenant;
    END;

  -- The threshold that an amount is at; -1 has none.
  CREATE FUNCTION billing.threshold(used numeric, most bigint) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN most = -1 OR used <= 0 THEN 0 WHEN used >= most THEN 100 WHEN used * 100 >= most::numeric * 80 THEN 80 ELSE 0 END;

  -- The zone that a tenant's calendar goes by: UTC where its setting is none.
  CREATE FUNCTION billing.time_zone(tenant uuid) RETURNS text
    LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    zone text := (SELECT s.value #>> '{}' FROM tenants.tenant_settings s WHERE s.tenant_id = tenant AND s.key = 'time_zone');
  BEGIN
    PERFORM now() AT TIME ZONE zone;
    RETURN coalesce(zone, 'UTC');
  EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 'UTC';
  END
  $function$;

  -- The boundary of periods before or at a moment, the one after it, and the one after
  -- that: of the billing cycle, or of the calendar month in the tenant's time zone.
  CREATE FUNCTION billing.boundaries(tenant uuid, at timestamptz, OUT before timestamptz, OUT next timestamptz, OUT after_next timestamptz)
    LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    zone   text := 'UTC';
    anchor timestamp;
    months integer;
  BEGIN
    SELECT c.anchor_at AT TIME ZONE zone INTO anchor FROM billing.billing_cycles c WHERE c.tenant_id = tenant;
    IF NOT FOUND THEN
      zone := billing.time_zone(tenant);
      anchor := date_trunc('month', at AT TIME ZONE zone);
    END IF;
    months := (extract(year FROM at AT TIME ZONE zone) - extract(year FROM anchor)) * 12
              + extract(month FROM at AT TIME ZONE zone) - extract(month FROM anchor) - 1;
    LOOP
      next := (anchor + make_interval(months => months)) AT TIME ZONE zone;
      EXIT WHEN next > at;
      before := next;
      months := months + 1;
    END LOOP;
    after_next := (anchor + make_interval(months => months + 1)) AT TIME ZONE zone;
  END
  $function$;

  -- When the period that begins at a moment ends. One of the calendar is at least 15 days
  -- long, so that no change of time zone makes one of hours, with an allowance of its own.
  CREATE FUNCTION billing.period_end(tenant uuid, starts_at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT CASE WHEN b.next - period_end.starts_at < interval '15 days' THEN b.after_next ELSE b.next END
            FROM billing.boundaries(period_end.tenant, period_end.starts_at) b);

  -- How long after its end a period still takes late events.
  CREATE FUNCTION billing.closing_delay() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN interval '3 days';

  -- Has whoever makes a period of a tenant, or moves the end of one, do it alone until the
  -- transaction ends. It comes before the lock of any total.
  CREATE FUNCTION billing.lock_periods(tenant uuid) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
      SELECT pg_advisory_xact_lock(hashtextextended('billing.usage_periods ' || tenant::text, 0));
    END;

  -- The period that a moment is in, made where it is due: those that lack are made one
  -- after the other, so that no gap is between them. No row: the moment is before the
  -- tenant's first period, or more than an hour ahead.
  CREATE FUNCTION billing.period(tenant uuid, at timestamptz)
    RETURNS TABLE (starts_at timestamptz, ends_at timestamptz, closed_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    last  timestamptz;
    alone boolean := false;
  BEGIN
    IF period.at > now() + interval '1 hour' THEN RETURN; END IF;
    LOOP
      SELECT p.starts_at, p.ends_at, p.closed_at INTO period.starts_at, period.ends_at, period.closed_at
        FROM billing.usage_periods p WHERE p.tenant_id = period.tenant AND p.starts_at <= period.at ORDER BY p.starts_at DESC LIMIT 1;
      IF FOUND AND period.at < period.ends_at THEN RETURN NEXT; RETURN; END IF;
      IF NOT FOUND AND EXISTS (SELECT FROM billing.usage_periods p WHERE p.tenant_id = period.tenant AND p.starts_at > period.at) THEN RETURN; END IF;
      IF NOT alone THEN
        PERFORM billing.lock_periods(period.tenant);
        alone := true;
        CONTINUE; -- what is there may have changed meanwhile
      END IF;
      IF period.starts_at IS NULL THEN
        -- The first one: of the tenant's beginning, or of the oldest that still takes events.
        SELECT b.before INTO last FROM tenants.tenants t, billing.boundaries(t.id, greatest(t.created_at, now() - billing.closing_delay())) b
          WHERE t.id = period.tenant;
        IF last IS NULL OR last > period.at THEN RETURN; END IF;
      ELSE
        last := period.ends_at;
      END IF;
      INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at)
        VALUES (period.tenant, last, billing.period_end(period.tenant, last)) ON CONFLICT DO NOTHING;
    END LOOP;
  END
  $function$;

  -- The total of a meter in a period, locked; made where there is none. Of a level it is
  -- the latest period's, whatever was asked for: a level goes on from one into the next.
  CREATE FUNCTION billing.lock_total(tenant uuid, meter text, period_start timestamptz) RETURNS billing.usage_totals
    LANGUAGE plpgsql AS $function$
  DECLARE
    total billing.usage_totals;
    level boolean := (SELECT m.aggregation = 'level' FROM billing.meters m WHERE m.code = meter);
    due   record;
  BEGIN
    -- Periods are made before totals are locked, by whoever does both.
    IF level THEN PERFORM billing.period(tenant, now()); END IF;
    LOOP
      IF NOT level THEN
        SELECT t.* INTO total FROM billing.usage_totals t
          WHERE t.tenant_id = tenant AND t.meter = lock_total.meter AND t.period_start = lock_total.period_start FOR NO KEY UPDATE;
        IF FOUND THEN RETURN total; END IF;
        INSERT INTO billing.usage_totals (tenant_id, meter, period_start)
          VALUES (tenant, lock_total.meter, lock_total.period_start) ON CONFLICT DO NOTHING;
        CONTINUE;
      END IF;
      SELECT t.* INTO total FROM billing.usage_totals t
        WHERE t.tenant_id = tenant AND t.meter = lock_total.meter ORDER BY t.period_start DESC LIMIT 1 FOR NO KEY UPDATE;
      IF NOT FOUND THEN
        INSERT INTO billing.usage_totals (tenant_id, meter, period_start, level_at)
          VALUES (tenant, lock_total.meter, lock_total.period_start, now()) ON CONFLICT DO NOTHING;
        CONTINUE;
      END IF;
      -- Whoever waited for the lock may have got a row that is no longer the latest.
      CONTINUE WHEN EXISTS (SELECT FROM billing.usage_totals t
        WHERE t.tenant_id = tenant AND t.meter = lock_total.meter AND t.period_start > total.period_start);
      SELECT p.starts_at, p.ends_at INTO due FROM billing.usage_periods p
        WHERE p.tenant_id = tenant AND p.starts_at = total.period_start;
      IF due.ends_at > now() THEN RETURN total; END IF;
      UPDATE billing.usage_totals t
        SET level_hours = t.level_hours + greatest(t.used, 0) * extract(epoch FROM greatest(due.ends_at - t.level_at, interval '0')) / 3600,
            level_at = greatest(due.ends_at, t.level_at), held = 0
        WHERE t.tenant_id = tenant AND t.meter = lock_total.meter AND t.period_start = total.period_start;
      INSERT INTO billing.usage_totals (tenant_id, meter, period_start, used, held, reached, level_at)
        VALUES (tenant, lock_total.meter, due.ends_at, total.used, total.held, total.reached, due.ends_at) ON CONFLICT DO NOTHING;
    END LOOP;
  END
  $function$;

  -- Adds to a level, which may fall, and keeps the record of it. A level is counted when
  -- its change arrives, for changes come in any order.
  CREATE FUNCTION billing.change_level(tenant uuid, meter text, delta numeric, idempotency_key text) RETURNS void
    LANGUAGE plpgsql AS $function$
  DECLARE
    total billing.usage_totals;
  BEGIN
    total := billing.lock_total(tenant, meter, (SELECT p.starts_at FROM billing.period(tenant, now()) p));
    UPDATE billing.usage_totals t
      SET level_hours = t.level_hours + greatest(t.used, 0) * extract(epoch FROM greatest(now() - t.level_at, interval '0')) / 3600,
          level_at = greatest(now(), t.level_at), used = t.used + delta, events = t.events + 1, updated_at = now(),
          reached = billing.threshold(t.used + delta, (SELECT e."limit" FROM billing.entitlement(tenant, change_level.meter) e))
      WHERE t.tenant_id = tenant AND t.meter = change_level.meter AND t.period_start = total.period_start;
    INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, idempotency_key, source)
      VALUES (tenant, change_level.meter, total.period_start, greatest(now(), total.period_start), delta, change_level.idempotency_key, 'trigger');
  END
  $function$;

  -- 128 bits of the SHA-256 of a text: what keys and values are told apart by.
  CREATE FUNCTION billing.hash128(value text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN encode(substr(sha256(convert_to(value, 'UTF8')), 1, 16), 'hex')::uuid;

  -- Adds the events without a code to their totals, which are locked in the order of
  -- tenant, meter (by its bytes) and period. Whoever locks more than one keeps to it.
  CREATE FUNCTION billing.add_events(tenants uuid[], meters text[], starts timestamptz[], kinds text[], amounts numeric[], vals text[], codes text[])
    RETURNS void LANGUAGE plpgsql AS $function$
  DECLARE
    tenant_of uuid[];
    meter_of  text[];
    start_of  timestamptz[];
    kind_of   text[];
    amount_of numeric[];
    events_of bigint[];
  BEGIN
    SELECT array_agg(g.tenant), array_agg(g.meter), array_agg(g.starts_at), array_agg(g.kind), array_agg(g.amount), array_agg(g.events)
      INTO tenant_of, meter_of, start_of, kind_of, amount_of, events_of
      FROM (
        SELECT e.tenant, e.meter, e.starts_at, e.kind, count(*) AS events,
               CASE e.kind WHEN 'max' THEN max(e.amount) WHEN 'unique' THEN 0 ELSE sum(e.amount) END AS amount
        FROM unnest(tenants, meters, starts, kinds, amounts, codes) AS e (tenant, meter, starts_at, kind, amount, code)
        WHERE e.code IS NULL GROUP BY e.tenant, e.meter, e.starts_at, e.kind ORDER BY e.tenant, e.meter COLLATE "C", e.starts_at) g;
    IF tenant_of IS NULL THEN RETURN; END IF;
    INSERT INTO billing.usage_totals AS t (tenant_id, meter, period_start)
      SELECT g.tenant, g.meter, g.starts_at FROM unnest(tenant_of, meter_of, start_of) WITH ORDINALITY AS g (tenant, meter, starts_at, i) ORDER BY g.i
      ON CONFLICT ON CONSTRAINT usage_totals_pkey DO UPDATE SET events = t.events WHERE false; -- locks it, and no more
    IF 'unique' = ANY (kind_of) THEN
      UPDATE billing.usage_totals t SET used = t.used + n.fresh
        FROM (
          SELECT u.tenant, u.meter, u.starts_at, count(*) AS fresh
          FROM (SELECT DISTINCT e.tenant, e.meter, e.starts_at, billing.hash128(e.value) AS value_hash
                FROM unnest(tenants, meters, starts, kinds, vals, codes) AS e (tenant, meter, starts_at, kind, value, code)
                WHERE e.code IS NULL AND e.kind = 'unique') u
          WHERE NOT EXISTS (SELECT FROM billing.usage_values v WHERE v.tenant_id = u.tenant AND v.meter = u.meter
            AND v.period_start = u.starts_at AND v.value_hash = u.value_hash AND v.events > 0)
          GROUP BY u.tenant, u.meter, u.starts_at) n
        WHERE t.tenant_id = n.tenant AND t.meter = n.meter AND t.period_start = n.starts_at;
      INSERT INTO billing.usage_values AS v (tenant_id, meter, period_start, value_hash, events)
        SELECT e.tenant, e.meter, e.starts_at, billing.hash128(e.value), count(*)
        FROM unnest(tenants, meters, starts, kinds, vals, codes) AS e (tenant, meter, starts_at, kind, value, code)
        WHERE e.code IS NULL AND e.kind = 'unique' GROUP BY 1, 2, 3, 4
        ON CONFLICT ON CONSTRAINT usage_values_pkey DO UPDATE SET events = v.events + excluded.events;
    END IF;
    UPDATE billing.usage_totals t
      SET used = CASE WHEN g.kind = 'max' THEN greatest(t.used, g.amount) ELSE t.used + g.amount END, events = t.events + g.events, updated_at = now(),
          reached = billing.threshold(CASE WHEN g.kind = 'max' THEN greatest(t.used, g.amount) ELSE t.used + g.amount END, e."limit")
      FROM unnest(tenant_of, meter_of, start_of, kind_of, amount_of, events_of) AS g (tenant, meter, starts_at, kind, amount, events),
           billing.entitlement(g.tenant, g.meter) e
      WHERE t.tenant_id = g.tenant AND t.meter = g.meter AND t.period_start = g.starts_at;
  END
  $function$;

  -- Counts each event whose key is new to its tenant, and tells what became of the
  -- others, by their places. The keys are different, and in the order of tenant and hash:
  -- whoever records the same ones meets them in the same order. So it is with the totals.
  CREATE FUNCTION billing.record(tenants uuid[], meters text[], key_hashes uuid[], keys text[], contents bigint[],
      amounts numeric[], vals text[], ats timestamptz[], source text)
    RETURNS TABLE (place bigint, code text)
    LANGUAGE plpgsql AS $function$
  DECLARE
    codes         text[];
    kinds         text[];
    moments       timestamptz[];
    starts        timestamptz[];
    due           boolean;
    late          boolean;
    made          boolean := false;
    kept          boolean := false;
    fresh_tenants uuid[];
    fresh_hashes  uuid[];
  BEGIN
    LOOP
      SELECT array_agg(j.code), array_agg(j.aggregation), array_agg(j.at), array_agg(j.starts_at),
             bool_or(j.code = 'period-closed' AND j.starts_at IS NULL), bool_or(j.code IS NULL AND j.ends_at <= now())
        INTO codes, kinds, moments, starts, due, late
        FROM (
          SELECT e.i, e.at, m.aggregation, p.starts_at, p.ends_at, CASE
              WHEN t.id IS NULL THEN 'unknown-tenant'
              WHEN t.status <> 'active' AND record.source <> 'trigger' THEN 'tenant-not-active'
              WHEN m.code IS NULL THEN 'unknown-meter'
              WHEN m.aggregation = 'level' THEN 'level-meter'
              WHEN m.aggregation = 'count' AND e.amount <> trunc(e.amount) THEN 'wrong-amount'
              WHEN (m.aggregation = 'unique') <> (e.value IS NOT NULL) THEN 'wrong-value'
              WHEN e.at > now() + interval '1 hour' THEN 'in-the-future'
              WHEN p.starts_at IS NULL OR p.closed_at IS NOT NULL THEN 'period-closed' END AS code
          FROM (SELECT u.i, u.tenant, u.meter, u.amount, u.value, coalesce(u.at, now()) AS at
                FROM unnest(tenants, meters, amounts, vals, ats) WITH ORDINALITY AS u (tenant, meter, amount, value, at, i)) e
          LEFT JOIN tenants.tenants t ON t.id = e.tenant
          LEFT JOIN billing.meters m ON m.code = e.meter
          LEFT JOIN LATERAL (SELECT q.starts_at, q.ends_at, q.closed_at FROM billing.usage_periods q
            WHERE q.tenant_id = e.tenant AND q.starts_at <= e.at ORDER BY q.starts_at DESC LIMIT 1) p ON e.at < p.ends_at
          ORDER BY e.i) j;
      IF due AND NOT made THEN
        PERFORM billing.period(d.tenant, d.at) FROM (
          SELECT e.tenant, max(e.at) AS at FROM unnest(tenants, moments, codes, starts) AS e (tenant, at, code, starts_at)
          WHERE e.code = 'period-closed' AND e.starts_at IS NULL GROUP BY e.tenant ORDER BY e.tenant) d;
        made := true;
      ELSIF late AND NOT kept THEN
        -- Nobody closes them until this is done; those that just were are seen now.
        PERFORM FROM billing.usage_periods p JOIN (
            SELECT DISTINCT e.tenant, e.starts_at FROM unnest(tenants, codes, starts) AS e (tenant, code, starts_at) WHERE e.code IS NULL) d
          ON p.tenant_id = d.tenant AND p.starts_at = d.starts_at
          WHERE p.ends_at <= now() ORDER BY p.tenant_id, p.starts_at FOR KEY SHARE OF p;
        kept := true;
      ELSE
        EXIT;
      END IF;
    END LOOP;

    WITH fresh AS (
      INSERT INTO billing.usage_keys (tenant_id, key_hash, content, at)
        SELECT e.tenant, e.key_hash, e.content, e.at
        FROM unnest(tenants, key_hashes, contents, moments, codes) WITH ORDINALITY AS e (tenant, key_hash, content, at, code, i)
        WHERE e.code IS NULL ORDER BY e.i
        ON CONFLICT DO NOTHING RETURNING tenant_id, key_hash)
    SELECT array_agg(f.tenant_id), array_agg(f.key_hash) INTO fresh_tenants, fresh_hashes FROM fresh f;
    IF cardinality(tenants) > coalesce(cardinality(fresh_hashes), 0) THEN
      -- What was counted is a duplicate, also where it would be refused by now. Planned
      -- each time, for how many there are: a plan for few would compare each with each.
      EXECUTE $statement$
        SELECT array_agg(CASE WHEN f.key_hash IS NOT NULL THEN NULL WHEN k.content = e.content THEN 'duplicate'
                              ELSE coalesce(e.code, 'key-reused') END ORDER BY e.i)
        FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS e (tenant, key_hash, content, code, i)
        LEFT JOIN unnest($5, $6) AS f (tenant, key_hash) ON f.tenant = e.tenant AND f.key_hash = e.key_hash
        LEFT JOIN billing.usage_keys k ON k.tenant_id = e.tenant AND k.key_hash = e.key_hash $statement$
        INTO codes USING tenants, key_hashes, contents, codes, fresh_tenants, fresh_hashes;
    END IF;

    INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, value, idempotency_key, source)
      SELECT e.tenant, e.meter, e.starts_at, e.at, CASE WHEN e.kind = 'unique' THEN 1 ELSE e.amount END, e.value, e.key, record.source
      FROM unnest(tenants, meters, starts, moments, amounts, vals, keys, codes, kinds) AS e (tenant, meter, starts_at, at, amount, value, key, code, kind)
      WHERE e.code IS NULL;
    PERFORM billing.add_events(tenants, meters, starts, kinds, amounts, vals, codes);
    RETURN QUERY SELECT c.i, c.code FROM unnest(codes) WITH ORDINALITY AS c (code, i) WHERE c.code IS NOT NULL;
  END
  $function$;

  -- Takes the event with a key and a time off its total, by a record that says so. Its
  -- key and its period are locked.
  CREATE FUNCTION billing.reverse(tenant uuid, meter text, key text, at timestamptz)
    RETURNS TABLE (amount numeric, period_start timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    kind     text := (SELECT m.aggregation FROM billing.meters m WHERE m.code = reverse.meter);
    original billing.usage_records;
    total    billing.usage_totals;
    left_of  bigint;
  BEGIN
    SELECT r.* INTO STRICT original FROM billing.usage_records r
      WHERE r.tenant_id = tenant AND r.meter = reverse.meter AND r.at = reverse.at AND r.idempotency_key = key AND r.source <> 'reversal';
    total := billing.lock_total(tenant, reverse.meter, original.period_start);
    INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, value, idempotency_key, source)
      VALUES (tenant, reverse.meter, original.period_start, original.at, -original.amount, original.value, key, 'reversal');
    IF kind = 'max' THEN
      SELECT coalesce(max(r.amount), 0) INTO total.used FROM billing.usage_records r
        WHERE r.tenant_id = tenant AND r.meter = reverse.meter AND r.period_start = original.period_start AND r.source <> 'reversal'
          AND NOT EXISTS (SELECT FROM billing.usage_records n WHERE n.tenant_id = tenant AND n.meter = reverse.meter AND n.at = r.at
            AND n.idempotency_key = r.idempotency_key AND n.source = 'reversal');
    ELSIF kind = 'unique' THEN
      UPDATE billing.usage_values v SET events = v.events - 1
        WHERE v.tenant_id = tenant AND v.meter = reverse.meter AND v.period_start = original.period_start AND v.value_hash = billing.hash128(original.value)
        RETURNING v.events INTO left_of;
      total.used := total.used - (left_of = 0)::integer;
    ELSE
      total.used := total.used - original.amount;
    END IF;
    UPDATE billing.usage_totals t SET used = total.used, events = t.events + 1, updated_at = now(),
        reached = billing.threshold(total.used, (SELECT e."limit" FROM billing.entitlement(tenant, reverse.meter) e))
      WHERE t.tenant_id = tenant AND t.meter = reverse.meter AND t.period_start = original.period_start;
    RETURN QUERY SELECT original.amount, original.period_start;
  END
  $function$;

  -- Partitions of usage_records until the month of a day; those that are there stay.
  CREATE FUNCTION billing.make_usage_partitions(until date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $function$
  DECLARE
    month date := date_trunc('month', now() AT TIME ZONE 'UTC');
    made  integer := 0;
    name  text;
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('billing.usage_records', 0));
    WHILE month <= until LOOP
      name := 'usage_records_' || to_char(month, 'YYYY_MM');
      IF to_regclass('billing.' || name) IS NULL THEN
        EXECUTE format('CREATE TABLE billing.%I PARTITION OF billing.usage_records FOR VALUES FROM (%L) TO (%L)', name,
          month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('CREATE INDEX ON billing.%I USING brin (recorded_at)', name);
        EXECUTE format('ALTER TABLE billing.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('REVOKE ALL ON billing.%I FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant', name);
        made := made + 1;
      END IF;
      month := month + interval '1 month';
    END LOOP;
    RETURN made;
  END
  $function$;

  -- Drops the partitions whose last record is older than a moment. Nobody waits longer
  -- than two seconds for it: it fails then, to be tried again.
  CREATE FUNCTION billing.drop_usage_partitions(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $function$
  DECLARE
    gone integer := 0;
    old  record;
  BEGIN
    IF before > now() - interval '35 days' THEN
      RAISE EXCEPTION 'records are kept for at least 35 days' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR old IN
      SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'billing.usage_records'::regclass AND c.relname ~ '^usage_records_\d{4}_\d{2}$'
        AND (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' <= before
    LOOP
      EXECUTE format('DROP TABLE billing.%I', old.relname);
      gone := gone + 1;
    END LOOP;
    RETURN gone;
  END
  $function$;
  PERFORM billing.make_usage_partitions((now() + interval '12 months')::date);

  -- No more people than the tenant may have, whichever door wrote the row.
  CREATE OR REPLACE FUNCTION tenants.keep_user_quota() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    most    bigint;
    present bigint;
  BEGIN
    IF EXISTS (SELECT FROM auth.users WHERE id = NEW.user_id AND kind = 'service') THEN RETURN NULL; END IF;
    PERFORM FROM tenants.tenants WHERE id = NEW.tenant_id FOR NO KEY UPDATE;
    SELECT e."limit" INTO most FROM billing.entitlement(NEW.tenant_id, 'users') e WHERE e.enforcement = 'hard';
    IF coalesce(most, -1) = -1 THEN RETURN NULL; END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
      RAISE EXCEPTION 'tenant % may have % users: add them at READ COMMITTED, for an older snapshot does not show who joined since', NEW.tenant_id, most
        USING ERRCODE = 'feature_not_supported';
    END IF;
    SELECT count(*) INTO present
      FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person'
      WHERE m.tenant_id = NEW.tenant_id;
    IF present > most THEN
      RAISE EXCEPTION 'tenant % may have % users', NEW.tenant_id, most
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_members_user_quota', SCHEMA = 'tenants', TABLE = 'tenant_members',
              DETAIL = json_build_object('meter', 'users', 'limit', most, 'current', present - 1, 'remaining', greatest(most - present + 1, 0))::text;
    END IF;
    RETURN NULL;
  END
  $function$;

  CREATE OR REPLACE TRIGGER keep_user_quota AFTER INSERT OR UPDATE OF user_id ON tenants.tenant_members
    FOR EACH ROW EXECUTE FUNCTION tenants.keep_user_quota();

  -- Machines are not counted, so none becomes a person.
  CREATE FUNCTION tenants.refuse_kind_change() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    RAISE EXCEPTION 'user % is a % and stays one', OLD.id, OLD.kind
      USING ERRCODE = 'check_violation', CONSTRAINT = 'users_kind_stays', SCHEMA = 'auth', TABLE = 'users';
  END
  $function$;
  CREATE TRIGGER kind_stays BEFORE UPDATE OF kind ON auth.users
    FOR EACH ROW WHEN (OLD.kind = 'service' AND NEW.kind <> 'service') EXECUTE FUNCTION tenants.refuse_kind_change();

  -- What totals were made with stays, whoever writes: its code, and of a meter that is
  -- used or built in what a total is of its amounts.
  CREATE FUNCTION billing.keep_meter() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    -- Whoever makes a first total of the meter waits, or is waited for.
    PERFORM FROM billing.meters WHERE code = OLD.code FOR UPDATE;
    IF NEW.code <> OLD.code OR NEW.built_in <> OLD.built_in
       OR NEW.aggregation <> OLD.aggregation AND (OLD.built_in OR EXISTS (SELECT FROM billing.usage_totals t WHERE t.meter = OLD.code)) THEN
      RAISE EXCEPTION 'the code of the meter % stays, whether it is built in, and once it is used its aggregation; define another meter', OLD.code
        USING ERRCODE = 'check_violation', CONSTRAINT = 'meters_stay', SCHEMA = 'billing', TABLE = 'meters';
    END IF;
    RETURN NEW;
  END
  $function$;
  CREATE TRIGGER keep_meter BEFORE UPDATE OF code, built_in, aggregation ON billing.meters FOR EACH ROW
    WHEN ((OLD.code, OLD.built_in, OLD.aggregation) IS DISTINCT FROM (NEW.code, NEW.built_in, NEW.aggregation)) EXECUTE FUNCTION billing.keep_meter();

  -- The query of the rows that a level is of, as tenant and amount. Null: none are.
  CREATE FUNCTION billing.level_rows(meter text) RETURNS text
    LANGUAGE sql STABLE
    BEGIN ATOMIC
      SELECT CASE WHEN level_rows.meter = 'users'
        THEN 'SELECT m.tenant_id AS tenant, 1 AS amount FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = ''person'''
        ELSE (SELECT string_agg(format('SELECT %I AS tenant, %s AS amount FROM %I.%I', s.tenant_column,
            coalesce(quote_ident(s.amount_column), '1'), s.table_schema, s.table_name), ' UNION ALL ')
          FROM billing.meter_sources s WHERE s.meter = level_rows.meter) END;
    END;

  -- What there is now of a tenant's rows that a level is of. Null: it is of none, or one
  -- of the tables cannot be read.
  CREATE FUNCTION billing.present_level(tenant uuid, meter text) RETURNS numeric
    LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    rows    text := billing.level_rows(meter);
    present numeric;
  BEGIN
    IF rows IS NULL THEN RETURN NULL; END IF;
    EXECUTE 'SELECT coalesce(sum(r.amount), 0) FROM (' || rows || ') r WHERE r.tenant = $1' INTO present USING tenant;
    RETURN present;
  EXCEPTION WHEN insufficient_privilege OR invalid_schema_name OR undefined_table OR undefined_column OR undefined_function THEN
    RETURN NULL;
  END
  $function$;

  -- Sets a level of every tenant to what there is of its rows, and says of how many it
  -- changed. Changes of rows that are still on their way are counted once more.
  CREATE FUNCTION billing.count_level(meter text) RETURNS bigint
    LANGUAGE plpgsql AS $function$
  DECLARE
    due     record;
    total   billing.usage_totals;
    changed bigint := 0;
  BEGIN
    FOR due IN EXECUTE '
      SELECT t.id, coalesce(p.amount, 0) AS amount FROM tenants.tenants t
      LEFT JOIN (SELECT r.tenant, sum(r.amount) AS amount FROM (' || billing.level_rows(meter) || ') r GROUP BY r.tenant) p ON p.tenant = t.id
      WHERE p.tenant IS NOT NULL OR EXISTS (SELECT FROM billing.usage_totals u WHERE u.tenant_id = t.id AND u.meter = $1) ORDER BY t.id' USING meter
    LOOP
      total := billing.lock_total(due.id, meter, (SELECT p.starts_at FROM billing.period(due.id, now()) p));
      CONTINUE WHEN total.used = due.amount;
      PERFORM billing.change_level(due.id, meter, due.amount - total.used, NULL);
      changed := changed + 1;
    END LOOP;
    RETURN changed;
  END
  $function$;

  -- Servers keep in memory what a tenant may use, and parts of it; they hear within a second.
  CREATE FUNCTION nself.notify_limits() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    IF TG_TABLE_NAME = 'tenants' THEN
      PERFORM pg_notify('nself_access', 'limits:' || NEW.id);
    ELSE
      PERFORM pg_notify('nself_access', 'limits:' || coalesce(NEW.tenant_id, OLD.tenant_id));
    END IF;
    RETURN NULL;
  END
  $function$;
  CREATE FUNCTION nself.notify_all_limits() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    PERFORM pg_notify('nself_access', 'limits:*');
    RETURN NULL;
  END
  $function$;
  CREATE TRIGGER notify_limits AFTER UPDATE OF plan ON tenants.tenants
    FOR EACH ROW WHEN (OLD.plan IS DISTINCT FROM NEW.plan) EXECUTE FUNCTION nself.notify_limits();
  CREATE TRIGGER notify_limits AFTER INSERT OR UPDATE OR DELETE ON billing.tenant_limits FOR EACH ROW EXECUTE FUNCTION nself.notify_limits();
  CREATE TRIGGER notify_limits AFTER INSERT OR UPDATE OR DELETE ON billing.billing_cycles FOR EACH ROW EXECUTE FUNCTION nself.notify_limits();
  CREATE TRIGGER notify_limits AFTER INSERT OR UPDATE OR DELETE ON billing.plan_limits FOR EACH STATEMENT EXECUTE FUNCTION nself.notify_all_limits();
  CREATE TRIGGER notify_limits AFTER UPDATE OR DELETE ON billing.meters FOR EACH STATEMENT EXECUTE FUNCTION nself.notify_all_limits();

  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON billing.tenant_limits FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();
  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON billing.billing_cycles FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();
  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON billing.meters FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();

  REVOKE ALL ON FUNCTION billing.entitlement(uuid, text), billing.threshold(numeric, bigint), billing.time_zone(uuid), billing.boundaries(uuid, timestamptz), billing.period_end(uuid, timestamptz),
    billing.closing_delay(), billing.period(uuid, timestamptz), billing.record(uuid[], text[], uuid[], text[], bigint[], numeric[], text[], timestamptz[], text), billing.add_events(uuid[], text[], timestamptz[], text[], numeric[], text[], text[]), billing.reverse(uuid, text, text, timestamptz),
    billing.lock_total(uuid, text, timestamptz), billing.change_level(uuid, text, numeric, text), billing.hash128(text), billing.make_usage_partitions(date), billing.drop_usage_partitions(timestamptz),
    billing.lock_periods(uuid), billing.keep_meter(), billing.level_rows(text), billing.present_level(uuid, text), billing.count_level(text),
    tenants.refuse_kind_change(), nself.notify_limits(), nself.notify_all_limits() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION billing.entitlement(uuid, text), billing.threshold(numeric, bigint), billing.time_zone(uuid), billing.boundaries(uuid, timestamptz), billing.period_end(uuid, timestamptz),
    billing.closing_delay(), billing.period(uuid, timestamptz), billing.record(uuid[], text[], uuid[], text[], bigint[], numeric[], text[], timestamptz[], text), billing.add_events(uuid[], text[], timestamptz[], text[], numeric[], text[], text[]),
    billing.lock_total(uuid, text, timestamptz), billing.change_level(uuid, text, numeric, text), billing.hash128(text), billing.lock_periods(uuid) TO nself_server, nself_tenant;
  GRANT EXECUTE ON FUNCTION billing.reverse(uuid, text, text, timestamptz), billing.make_usage_partitions(date), billing.drop_usage_partitions(timestamptz),
    billing.level_rows(text), billing.present_level(uuid, text), billing.count_level(text) TO nself_server;
  GRANT SELECT, INSERT, UPDATE, DELETE ON billing.meter_sources TO nself_server;
  GRANT DELETE ON nself.inbox, nself.idempotency_keys TO nself_server;
END
$migration$;
