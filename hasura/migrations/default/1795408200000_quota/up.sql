-- Deciding: taking, reserving and leasing are each one step under the lock of the total,
-- so what is granted never passes a hard limit, however many decide at once.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795408200000, 'quota') THEN RETURN; END IF;

  CREATE TABLE billing.quota_reservations (
    tenant_id    uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    meter        text NOT NULL,
    period_start timestamptz NOT NULL,
    amount       numeric(38,9) NOT NULL CHECK (amount > 0),
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'settled', 'released', 'expired')),
    settled      numeric(38,9) CHECK (settled >= 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, meter, period_start) REFERENCES billing.usage_totals ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state = 'settled') = (settled IS NOT NULL))
  );
  CREATE INDEX ON billing.quota_reservations (tenant_id, meter, period_start);
  CREATE INDEX quota_reservations_overdue ON billing.quota_reservations (expires_at) WHERE state = 'open';
  CREATE INDEX quota_reservations_open ON billing.quota_reservations (tenant_id, meter, expires_at) WHERE state = 'open';
  CREATE INDEX quota_reservations_ended ON billing.quota_reservations (ended_at) WHERE state <> 'open';

  CREATE TABLE billing.quota_leases (
    tenant_id    uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    meter        text NOT NULL,
    period_start timestamptz NOT NULL,
    holder       text NOT NULL,
    held         numeric(38,9) NOT NULL CHECK (held >= 0),
    reported     numeric(38,9) NOT NULL DEFAULT 0,
    reports      bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    reported_at  timestamptz NOT NULL DEFAULT now(),
    returned_at  timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, meter, period_start) REFERENCES billing.usage_totals ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK (returned_at IS NULL OR held = 0)
  );
  CREATE INDEX ON billing.quota_leases (tenant_id, meter, period_start);
  CREATE INDEX quota_leases_returned ON billing.quota_leases (returned_at);
  COMMENT ON COLUMN billing.quota_leases.held IS 'granted to the holder and not reported as used: of a holder that died, lost to the tenant until the period ends';
  COMMENT ON COLUMN billing.quota_leases.reports IS 'how often it was reported: a report that is repeated is counted once';

  CREATE TABLE billing.quota_notices (
    tenant_id    uuid NOT NULL,
    meter        text NOT NULL,
    period_start timestamptz NOT NULL,
    threshold    smallint NOT NULL CHECK (threshold IN (80, 100)),
    used         numeric(38,9) NOT NULL,
    "limit"      bigint NOT NULL,
    enforcement  text NOT NULL,
    noticed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, meter, period_start, threshold),
    FOREIGN KEY (tenant_id, meter, period_start) REFERENCES billing.usage_totals ON UPDATE CASCADE ON DELETE CASCADE
  );
  COMMENT ON TABLE billing.quota_notices IS 'warnings: each threshold once per period and meter';

  -- Ends the reservations whose time is over and says how much they held; null for the
  -- period: of a level, whose hold goes on from one into the next. The total is locked.
  CREATE FUNCTION billing.end_overdue(tenant uuid, meter text, period_start timestamptz) RETURNS numeric
    LANGUAGE sql
    BEGIN ATOMIC
      WITH ended AS (
        UPDATE billing.quota_reservations r SET state = 'expired', ended_at = now()
        WHERE r.tenant_id = end_overdue.tenant AND r.meter = end_overdue.meter AND r.state = 'open' AND r.expires_at <= now()
          AND (end_overdue.period_start IS NULL OR r.period_start = end_overdue.period_start)
        RETURNING r.amount)
      SELECT coalesce(sum(amount), 0) FROM ended;
    END;

  -- What a meter of a tenant that is active is of its amounts. Null: there is none such.
  -- plpgsql keeps its plan, which a function of plain SQL would make anew at each call.
  CREATE FUNCTION billing.decidable(tenant uuid, meter text) RETURNS text
    LANGUAGE plpgsql STABLE AS $function$
  BEGIN
    RETURN (SELECT m.aggregation FROM billing.meters m, tenants.tenants t
      WHERE m.code = decidable.meter AND t.id = decidable.tenant AND t.status = 'active');
  END
  $function$;

  -- Takes each of the amounts that fits, in their order, and keeps one record of those
  -- that add up. No row: no such meter, or no such tenant that is active.
  CREATE FUNCTION billing.take(tenant uuid, meter text, amounts numeric[], vals text[])
    RETURNS TABLE (granted boolean[], used numeric, held numeric, "limit" bigint, enforcement text, period_start timestamptz, ends_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    kind    text := billing.decidable(tenant, take.meter);
    total   billing.usage_totals;
    most    numeric; -- null: no bound
    step    numeric;
    added   numeric; -- null: nothing
    records bigint := 0;
    swept   boolean := false;
  BEGIN
    IF kind IS NULL OR kind = 'level' THEN RETURN; END IF;
    SELECT p.starts_at, p.ends_at INTO take.period_start, take.ends_at FROM billing.period(tenant, now()) p;
    total := billing.lock_total(tenant, take.meter, take.period_start);
    SELECT e."limit", e.enforcement INTO take."limit", take.enforcement FROM billing.entitlement(tenant, take.meter) e;
    take.used := total.used;
    take.held := total.held;
    IF take."limit" <> -1 AND take.enforcement = 'hard' THEN most := take."limit" - total.held; END IF;
    granted := array_fill(false, ARRAY[cardinality(amounts)]);
    FOR i IN 1 .. cardinality(amounts) LOOP
      step := amounts[i];
      IF kind = 'max' THEN
        step := greatest(step - take.used, 0);
      ELSIF kind = 'unique' THEN
        step := (NOT EXISTS (SELECT FROM billing.usage_values v WHERE v.tenant_id = tenant AND v.meter = take.meter
          AND v.period_start = take.period_start AND v.value_hash = billing.hash128(vals[i]) AND v.events > 0))::integer;
      END IF;
      IF take.used + step > most AND NOT swept THEN
        swept := true;
        most := most + billing.end_overdue(tenant, take.meter, take.period_start);
        take.held := take."limit" - most;
      END IF;
      CONTINUE WHEN step > 0 AND take.used + step > most;
      granted[i] := true;
      take.used := take.used + step;
      added := CASE kind WHEN 'max' THEN greatest(added, amounts[i]) ELSE coalesce(added, 0) + amounts[i] END;
      IF kind = 'unique' THEN
        INSERT INTO billing.usage_values AS v (tenant_id, meter, period_start, value_hash, events)
          VALUES (tenant, take.meter, take.period_start, billing.hash128(vals[i]), 1)
          ON CONFLICT ON CONSTRAINT usage_values_pkey DO UPDATE SET events = v.events + 1;
        INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, value, source)
          VALUES (tenant, take.meter, take.period_start, now(), amounts[i], vals[i], 'take');
        records := records + 1;
      END IF;
    END LOOP;
    IF added IS NOT NULL AND kind <> 'unique' THEN
      INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source)
        VALUES (tenant, take.meter, take.period_start, now(), added, 'take');
      records := 1;
    END IF;
    IF records > 0 OR take.held <> total.held THEN
      UPDATE billing.usage_totals t
        SET used = take.used, held = take.held, events = t.events + records, updated_at = now(), reached = billing.threshold(take.used, take."limit")
        WHERE t.tenant_id = tenant AND t.meter = take.meter AND t.period_start = take.period_start;
    END IF;
    RETURN NEXT;
  END
  $function$;

  -- Takes, of each of many pairs of tenant and meter, the whole of an amount where that
  -- fits, each step for all of them at once. The pairs are different, and in the order in
  -- which totals are locked. No row: nothing was taken of the pair, and billing.take
  -- decides; so it is where the total is not there yet, and of meters that add nothing up.
  -- LIMIT has every pair looked up by itself: no plan reads whole tables, nor locks in
  -- another order.
  CREATE FUNCTION billing.take_whole(tenants uuid[], meters text[], amounts numeric[])
    RETURNS TABLE (place bigint, used numeric, held numeric, "limit" bigint, enforcement text, ends_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    useds        numeric[];
    helds        numeric[];
    starts       timestamptz[];
    ends         timestamptz[];
    limits       bigint[];
    enforcements text[];
    fits         boolean[];
  BEGIN
    SELECT array_agg(j.used), array_agg(j.held), array_agg(j.starts_at), array_agg(j.ends_at) INTO useds, helds, starts, ends
      FROM (
        SELECT t.used, t.held, t.starts_at, t.ends_at FROM unnest(tenants, meters) WITH ORDINALITY AS i (tenant, meter, place)
        LEFT JOIN LATERAL (
          SELECT u.used, u.held, p.starts_at, p.ends_at FROM billing.usage_periods p
          JOIN billing.usage_totals u ON u.tenant_id = p.tenant_id AND u.meter = i.meter AND u.period_start = p.starts_at
          WHERE p.tenant_id = i.tenant AND p.starts_at <= now() AND p.ends_at > now() LIMIT 1 FOR NO KEY UPDATE OF u) t ON true
        ORDER BY i.place) j;
    -- Limits are read under the locks, as they are now.
    SELECT array_agg(j."limit"), array_agg(j.enforcement), array_agg(j.fits) INTO limits, enforcements, fits
      FROM (
        SELECT e."limit", e.enforcement,
               e."limit" = -1 OR e.enforcement = 'soft' OR i.amount = 0 OR i.used + i.held + i.amount <= e."limit" AS fits
        FROM unnest(tenants, meters, amounts, useds, helds) WITH ORDINALITY AS i (tenant, meter, amount, used, held, place)
        LEFT JOIN LATERAL (
          SELECT n."limit", n.enforcement FROM tenants.tenants t, billing.meters m, billing.entitlement(t.id, m.code) n
          WHERE t.id = i.tenant AND t.status = 'active' AND m.code = i.meter AND m.aggregation IN ('sum', 'count') AND i.used IS NOT NULL LIMIT 1) e ON true
        ORDER BY i.place) j;
    INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source)
      SELECT i.tenant, i.meter, i.starts_at, now(), i.amount, 'take'
      FROM unnest(tenants, meters, starts, amounts, fits) AS i (tenant, meter, starts_at, amount, fits) WHERE i.fits;
    RETURN QUERY UPDATE billing.usage_totals t
      SET used = t.used + i.amount, events = t.events + 1, updated_at = now(), reached = billing.threshold(t.used + i.amount, i."limit")
      FROM unnest(tenants, meters, starts, amounts, fits, limits, enforcements, ends)
        WITH ORDINALITY AS i (tenant, meter, starts_at, amount, fits, "limit", enforcement, ends_at, place)
      WHERE i.fits AND t.tenant_id = i.tenant AND t.meter = i.meter AND t.period_start = i.starts_at
      RETURNING i.place, t.used, t.held, i."limit", i.enforcement, i.ends_at;
  END
  $function$;

  -- Holds what is needed and more up to what is wanted, but of what is more only an
  -- eighth of the room, so that the last of it can be shared; where not all that is
  -- needed is there, what there is, or nothing where that is less than the fewest. rest is
  -- the room that is left after it (null: no bound). No row: no such meter, or no such
  -- tenant that is active.
  CREATE FUNCTION billing.hold(tenant uuid, meter text, needed numeric, wanted numeric, fewest numeric)
    RETURNS TABLE (granted numeric, rest numeric, used numeric, held numeric, "limit" bigint, enforcement text, period_start timestamptz, ends_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    kind  text := billing.decidable(tenant, hold.meter);
    total billing.usage_totals;
  BEGIN
    IF kind IS NULL THEN RETURN; END IF;
    SELECT p.starts_at, p.ends_at INTO hold.period_start, hold.ends_at FROM billing.period(tenant, now()) p;
    total := billing.lock_total(tenant, hold.meter, hold.period_start);
    SELECT e."limit", e.enforcement INTO hold."limit", hold.enforcement FROM billing.entitlement(tenant, hold.meter) e;
    hold.period_start := total.period_start;
    hold.used := total.used;
    hold.held := total.held;
    granted := wanted;
    IF hold."limit" <> -1 AND hold.enforcement = 'hard' THEN
      rest := hold."limit" - greatest(hold.used, 0) - hold.held;
      IF wanted > rest THEN
        hold.held := hold.held - billing.end_overdue(tenant, hold.meter, CASE WHEN kind <> 'level' THEN hold.period_start END);
        rest := hold."limit" - greatest(hold.used, 0) - hold.held;
      END IF;
      granted := LEAST(greatest(needed, LEAST(wanted, trunc(rest / 8))), rest);
      IF granted < fewest OR granted < 0 THEN granted := 0; END IF;
      rest := rest - granted;
    END IF;
    hold.held := hold.held + granted;
    IF hold.held <> total.held THEN
      UPDATE billing.usage_totals t SET held = hold.held, updated_at = now()
        WHERE t.tenant_id = tenant AND t.meter = hold.meter AND t.period_start = total.period_start;
    END IF;
    RETURN NEXT;
  END
  $function$;

  -- Turns a part of what is held into use and gives the rest of it back. Of a level
  -- only the hold ends: its table counts.
  CREATE FUNCTION billing.unhold(tenant uuid, meter text, period_start timestamptz, freed numeric, amount numeric, at timestamptz, source text)
    RETURNS TABLE (used numeric, held numeric, "limit" bigint, enforcement text)
    LANGUAGE plpgsql AS $function$
  DECLARE
    total billing.usage_totals;
    added numeric := CASE WHEN (SELECT m.aggregation FROM billing.meters m WHERE m.code = unhold.meter) = 'level' THEN 0 ELSE unhold.amount END;
  BEGIN
    total := billing.lock_total(tenant, unhold.meter, unhold.period_start);
    SELECT e."limit", e.enforcement INTO unhold."limit", unhold.enforcement FROM billing.entitlement(tenant, unhold.meter) e;
    UPDATE billing.usage_totals t
      SET held = t.held - unhold.freed, updated_at = now(), used = t.used + added, events = t.events + (added > 0)::integer,
          reached = billing.threshold(t.used + added, unhold."limit")
      WHERE t.tenant_id = tenant AND t.meter = unhold.meter AND t.period_start = total.period_start
      RETURNING t.used, t.held INTO unhold.used, unhold.held;
    IF added > 0 THEN
      INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source)
        VALUES (tenant, unhold.meter, unhold.period_start, unhold.at, added, unhold.source);
    END IF;
    RETURN NEXT;
  END
  $function$;

  -- Keeps an amount for a time. No id: refused. No row: as of hold.
  CREATE FUNCTION billing.reserve(tenant uuid, meter text, amount numeric, lasting interval)
    RETURNS TABLE (id uuid, used numeric, held numeric, "limit" bigint, enforcement text, ends_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    got record;
  BEGIN
    SELECT h.* INTO got FROM billing.hold(tenant, reserve.meter, reserve.amount, reserve.amount, reserve.amount) h;
    IF NOT FOUND THEN RETURN; END IF;
    IF got.granted = reserve.amount THEN
      INSERT INTO billing.quota_reservations AS r (tenant_id, meter, period_start, amount, expires_at)
        VALUES (tenant, reserve.meter, got.period_start, reserve.amount, now() + lasting) RETURNING r.id INTO reserve.id;
    END IF;
    RETURN QUERY SELECT reserve.id, got.used, got.held, got."limit", got.enforcement, got.ends_at;
  END
  $function$;

  -- Ends a reservation with what was used, or with nothing where that is null. outcome
  -- is done, also of what was done before in the same way; exceeded where more was used
  -- than is there, and nothing is changed; else the state that the reservation is in.
  -- No row: there is none such.
  CREATE FUNCTION billing.end_reservation(tenant uuid, reservation uuid, spent numeric)
    RETURNS TABLE (outcome text, used numeric, held numeric, "limit" bigint, enforcement text, ends_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    kept  billing.quota_reservations;
    total billing.usage_totals;
    freed numeric;
  BEGIN
    SELECT r.* INTO kept FROM billing.quota_reservations r WHERE r.tenant_id = tenant AND r.id = reservation;
    IF NOT FOUND THEN RETURN; END IF;
    total := billing.lock_total(tenant, kept.meter, kept.period_start);
    SELECT r.* INTO kept FROM billing.quota_reservations r WHERE r.tenant_id = tenant AND r.id = reservation FOR UPDATE;
    SELECT e."limit", e.enforcement INTO end_reservation."limit", end_reservation.enforcement FROM billing.entitlement(tenant, kept.meter) e;
    SELECT p.ends_at INTO end_reservation.ends_at FROM billing.usage_periods p WHERE p.tenant_id = tenant AND p.starts_at = total.period_start;
    used := total.used;
    held := total.held;
    IF kept.state <> 'open' THEN
      outcome := CASE WHEN kept.state = 'settled' AND kept.settled = spent OR kept.state = 'released' AND spent IS NULL THEN 'done' ELSE kept.state END;
      RETURN NEXT; RETURN;
    ELSIF kept.expires_at <= now() THEN
      outcome := 'expired';
      RETURN NEXT; RETURN;
    END IF;
    freed := kept.amount;
    IF spent > kept.amount AND end_reservation."limit" <> -1 AND end_reservation.enforcement = 'hard'
       AND greatest(used, 0) + held - freed + spent > end_reservation."limit" THEN
      outcome := 'exceeded';
      RETURN NEXT; RETURN;
    END IF;
    SELECT u.used, u.held INTO end_reservation.used, end_reservation.held
      FROM billing.unhold(tenant, kept.meter, kept.period_start, freed, coalesce(spent, 0), LEAST(now(), end_reservation.ends_at - interval '1 microsecond'), 'reservation') u;
    UPDATE billing.quota_reservations r
      SET state = CASE WHEN spent IS NULL THEN 'released' ELSE 'settled' END, settled = spent, ended_at = now()
      WHERE r.tenant_id = tenant AND r.id = reservation;
    outcome := 'done';
    RETURN NEXT;
  END
  $function$;

  -- Ends the overdue reservations of one total, and says how many.
  CREATE FUNCTION billing.expire(tenant uuid, meter text, period_start timestamptz) RETURNS bigint
    LANGUAGE plpgsql AS $function$
  DECLARE
    total billing.usage_totals;
    span  timestamptz := CASE WHEN (SELECT m.aggregation FROM billing.meters m WHERE m.code = expire.meter) <> 'level' THEN expire.period_start END;
    ended bigint;
  BEGIN
    total := billing.lock_total(tenant, expire.meter, expire.period_start);
    SELECT count(*) INTO ended FROM billing.quota_reservations r
      WHERE r.tenant_id = tenant AND r.meter = expire.meter AND r.state = 'open' AND r.expires_at <= now() AND (span IS NULL OR r.period_start = span);
    UPDATE billing.usage_totals t SET held = t.held - billing.end_overdue(tenant, expire.meter, span), updated_at = now()
      WHERE t.tenant_id = tenant AND t.meter = expire.meter AND t.period_start = total.period_start AND ended > 0;
    RETURN ended;
  END
  $function$;

  -- Adds to a lease, or begins it. left is what its holder has of it then; null: it is of
  -- another period, or ended. A number that was told before changes nothing. No row: as
  -- of hold.
  CREATE FUNCTION billing.lease(tenant uuid, meter text, lease uuid, number bigint, holder text, needed numeric, wanted numeric, fewest numeric)
    RETURNS TABLE ("left" numeric, rest numeric, used numeric, held numeric, "limit" bigint, enforcement text, period_start timestamptz, ends_at timestamptz)
    LANGUAGE plpgsql AS $function$
  DECLARE
    known billing.quota_leases;
    got   record;
    again boolean;
    over  boolean;
  BEGIN
    IF billing.decidable(tenant, lease.meter) IS NULL THEN RETURN; END IF;
    SELECT p.starts_at INTO lease.period_start FROM billing.period(tenant, now()) p;
    PERFORM billing.lock_total(tenant, lease.meter, lease.period_start);
    SELECT l.* INTO known FROM billing.quota_leases l WHERE l.tenant_id = tenant AND l.id = lease.lease FOR UPDATE;
    over := coalesce(known.period_start <> lease.period_start OR known.returned_at IS NOT NULL, false);
    again := over OR coalesce(known.reports >= number, false);
    SELECT h.* INTO got FROM billing.hold(tenant, lease.meter,
      CASE WHEN again THEN 0 ELSE needed END, CASE WHEN again THEN 0 ELSE wanted END, CASE WHEN again THEN 0 ELSE fewest END) h;
    IF NOT FOUND THEN RETURN; END IF;
    IF NOT again AND (known.id IS NOT NULL OR got.granted > 0) THEN
      INSERT INTO billing.quota_leases AS l (tenant_id, id, meter, period_start, holder, held, reports)
        VALUES (tenant, lease.lease, lease.meter, got.period_start, lease.holder, got.granted, number)
        ON CONFLICT ON CONSTRAINT quota_leases_pkey DO UPDATE SET held = l.held + got.granted, reports = number, reported_at = now()
        RETURNING l.* INTO known;
    END IF;
    RETURN QUERY SELECT CASE WHEN over THEN NULL ELSE coalesce(known.held, 0) END,
      got.rest, got.used, got.held, got."limit", got.enforcement, got.period_start, got.ends_at;
  END
  $function$;

  -- Counts what was used of leases, and gives back what is left of those that are
  -- finished. A number that was told before changes nothing; of a lease that is gone, or
  -- whose period is closed, nothing is counted. No row: the lease is gone.
  CREATE FUNCTION billing.report_leases(tenants uuid[], leases uuid[], numbers bigint[], amounts numeric[], finished boolean[])
    RETURNS TABLE (tenant uuid, lease uuid, "left" numeric)
    LANGUAGE plpgsql AS $function$
  BEGIN
    -- Nobody closes a period that is over until this is done; one that just was is seen now.
    PERFORM FROM billing.usage_periods p
      WHERE p.ends_at <= now() AND (p.tenant_id, p.starts_at) IN (
        SELECT l.tenant_id, l.period_start FROM unnest(tenants, leases) AS i (tenant, lease)
        JOIN billing.quota_leases l ON l.tenant_id = i.tenant AND l.id = i.lease)
      ORDER BY p.tenant_id, p.starts_at FOR KEY SHARE OF p;
    PERFORM FROM billing.usage_totals t
      WHERE (t.tenant_id, t.meter, t.period_start) IN (
        SELECT l.tenant_id, l.meter, l.period_start FROM unnest(tenants, leases) AS i (tenant, lease)
        JOIN billing.quota_leases l ON l.tenant_id = i.tenant AND l.id = i.lease)
      ORDER BY t.tenant_id, t.meter COLLATE "C", t.period_start FOR NO KEY UPDATE OF t;
    WITH told AS (
      SELECT l.tenant_id, l.id, l.meter, l.period_start, l.held, p.ends_at, i.number, i.finished,
             CASE WHEN p.closed_at IS NULL THEN i.amount ELSE 0 END AS amount, i.amount AS spent
      FROM unnest(tenants, leases, numbers, amounts, finished) AS i (tenant, lease, number, amount, finished)
      JOIN billing.quota_leases l ON l.tenant_id = i.tenant AND l.id = i.lease AND l.reports < i.number AND l.returned_at IS NULL
      JOIN billing.usage_periods p ON p.tenant_id = l.tenant_id AND p.starts_at = l.period_start
    ), reported AS (
      UPDATE billing.quota_leases l
      SET reports = i.number, reported = l.reported + i.amount, reported_at = now(),
          held = CASE WHEN i.finished THEN 0 ELSE l.held - i.spent END, returned_at = CASE WHEN i.finished THEN now() END
      FROM told i WHERE l.tenant_id = i.tenant_id AND l.id = i.id
    ), counted AS (
      INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source)
      SELECT i.tenant_id, i.meter, i.period_start, LEAST(now(), i.ends_at - interval '1 microsecond'), i.amount, 'lease' FROM told i WHERE i.amount > 0
    ), sums AS (
      SELECT i.tenant_id, i.meter, i.period_start, sum(i.amount) AS amount, sum(CASE WHEN i.finished THEN i.held ELSE i.spent END) AS freed,
             count(*) FILTER (WHERE i.amount > 0) AS records
      FROM told i GROUP BY i.tenant_id, i.meter, i.period_start)
    UPDATE billing.usage_totals t
      SET used = t.used + s.amount, held = t.held - s.freed, events = t.events + s.records, updated_at = now(),
          reached = billing.threshold(t.used + s.amount, e."limit")
      FROM sums s CROSS JOIN LATERAL billing.entitlement(s.tenant_id, s.meter) e
      WHERE t.tenant_id = s.tenant_id AND t.meter = s.meter AND t.period_start = s.period_start;
    RETURN QUERY SELECT l.tenant_id, l.id, l.held
      FROM unnest(tenants, leases) AS i (tenant, lease)
      JOIN billing.quota_leases l ON l.tenant_id = i.tenant AND l.id = i.lease;
  END
  $function$;

  REVOKE ALL ON FUNCTION billing.end_overdue(uuid, text, timestamptz), billing.decidable(uuid, text), billing.take(uuid, text, numeric[], text[]),
    billing.hold(uuid, text, numeric, numeric, numeric), billing.unhold(uuid, text, timestamptz, numeric, numeric, timestamptz, text),
    billing.reserve(uuid, text, numeric, interval), billing.end_reservation(uuid, uuid, numeric), billing.expire(uuid, text, timestamptz),
    billing.lease(uuid, text, uuid, bigint, text, numeric, numeric, numeric), billing.report_leases(uuid[], uuid[], bigint[], numeric[], boolean[]),
    billing.take_whole(uuid[], text[], numeric[]) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION billing.end_overdue(uuid, text, timestamptz), billing.decidable(uuid, text), billing.take(uuid, text, numeric[], text[]),
    billing.hold(uuid, text, numeric, numeric, numeric), billing.unhold(uuid, text, timestamptz, numeric, numeric, timestamptz, text),
    billing.reserve(uuid, text, numeric, interval), billing.end_reservation(uuid, uuid, numeric) TO nself_server, nself_tenant;
  GRANT EXECUTE ON FUNCTION billing.expire(uuid, text, timestamptz), billing.take_whole(uuid[], text[], numeric[]),
    billing.lease(uuid, text, uuid, bigint, text, numeric, numeric, numeric), billing.report_leases(uuid[], uuid[], bigint[], numeric[], boolean[]) TO nself_server;
END
$migration$;
