-- What a tenant buys, as Stripe keeps it, and what follows from it here: customers,
-- subscriptions, invoices and payments, the standing of each account, add-ons, and the
-- ledgers that let every hint be followed, every operation be finished and every effect
-- be had once.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795413600000, 'billing') THEN RETURN; END IF;
  SET LOCAL lock_timeout = '5s';

  ALTER TABLE billing.plans
    ADD COLUMN per_seat boolean NOT NULL DEFAULT false,
    ADD COLUMN trial_days integer NOT NULL DEFAULT 0 CHECK (trial_days BETWEEN 0 AND 730);
  COMMENT ON COLUMN billing.plans.price_minor IS 'price per month in minor units of currency (cents), for each seat where per_seat';
  COMMENT ON COLUMN billing.plans.per_seat IS 'a seat is a member who is a person: members that come and go change what is paid';
  COMMENT ON COLUMN billing.plans.trial_days IS 'of a tenant''s first subscription; 0: none';

  CREATE TABLE billing.addons (
    code        text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_-]{0,62}$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    text NOT NULL DEFAULT 'usd' CHECK (currency ~ '^[a-z]{3}$'),
    position    integer NOT NULL DEFAULT 0
  );
  COMMENT ON COLUMN billing.addons.price_minor IS 'price of one per month in minor units of currency (cents)';
  CREATE TABLE billing.addon_limits (
    addon  text NOT NULL REFERENCES billing.addons ON UPDATE CASCADE ON DELETE CASCADE,
    meter  text NOT NULL REFERENCES billing.meters ON UPDATE CASCADE ON DELETE CASCADE,
    amount bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (addon, meter)
  );
  CREATE INDEX ON billing.addon_limits (meter);
  COMMENT ON COLUMN billing.addon_limits.amount IS 'what one of the add-on adds to the plan''s limit, in the meter''s own unit';

  -- Which price at Stripe is which plan's or add-on's. Old prices stay, for those who pay them.
  CREATE TABLE billing.prices (
    price_id     text PRIMARY KEY,
    livemode     boolean NOT NULL,
    plan         text REFERENCES billing.plans ON UPDATE CASCADE ON DELETE CASCADE,
    addon        text REFERENCES billing.addons ON UPDATE CASCADE ON DELETE CASCADE,
    product_id   text NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    active       boolean NOT NULL DEFAULT true,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(plan, addon) = 1)
  );
  CREATE UNIQUE INDEX prices_active_plan_key ON billing.prices (livemode, plan) WHERE active AND plan IS NOT NULL;
  CREATE UNIQUE INDEX prices_active_addon_key ON billing.prices (livemode, addon) WHERE active AND addon IS NOT NULL;
  COMMENT ON COLUMN billing.prices.active IS 'what a new subscriber pays';

  CREATE TABLE billing.customers (
    tenant_id              uuid PRIMARY KEY REFERENCES tenants.tenants ON DELETE CASCADE,
    stripe_id              text NOT NULL CONSTRAINT customers_stripe_id_key UNIQUE,
    livemode               boolean NOT NULL,
    email                  text,
    currency               text,
    balance_minor          bigint NOT NULL DEFAULT 0,
    delinquent             boolean NOT NULL DEFAULT false,
    default_payment_method text,
    former                 text[] NOT NULL DEFAULT '{}',
    clock_id               text,
    clock_at               timestamptz,
    deleted_at             timestamptz,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX customers_with_former ON billing.customers (tenant_id) WHERE former <> '{}';
  COMMENT ON COLUMN billing.customers.former IS 'its ids before, of customers that were deleted at Stripe: what is still heard of them is this tenant''s';
  COMMENT ON COLUMN billing.customers.balance_minor IS 'as Stripe has it: negative is credit';
  COMMENT ON COLUMN billing.customers.clock_at IS 'of a customer who lives by one of Stripe''s test clocks: what time it is there; null: now';

  CREATE TABLE billing.payment_methods (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    stripe_id  text NOT NULL,
    kind       text NOT NULL,
    brand      text,
    last4      text,
    exp_month  integer,
    exp_year   integer,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stripe_id)
  );

  CREATE TABLE billing.subscriptions (
    tenant_id            uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    stripe_id            text NOT NULL,
    status               text NOT NULL CHECK (status IN ('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled')),
    plan                 text REFERENCES billing.plans ON UPDATE CASCADE,
    quantity             bigint NOT NULL DEFAULT 1,
    amount_minor         bigint NOT NULL DEFAULT 0,
    currency             text NOT NULL,
    current_period_start timestamptz NOT NULL,
    current_period_end   timestamptz NOT NULL,
    anchor_at            timestamptz NOT NULL,
    trial_end            timestamptz,
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    cancel_at            timestamptz,
    canceled_at          timestamptz,
    ended_at             timestamptz,
    keeps_plan           text REFERENCES billing.plans ON UPDATE CASCADE,
    keeps_until          timestamptz,
    latest_invoice       text,
    main                 boolean NOT NULL DEFAULT false,
    livemode             boolean NOT NULL,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stripe_id)
  );
  CREATE UNIQUE INDEX subscriptions_main_key ON billing.subscriptions (tenant_id) WHERE main;
  CREATE INDEX ON billing.subscriptions (plan);
  CREATE INDEX ON billing.subscriptions (keeps_plan);
  COMMENT ON COLUMN billing.subscriptions.plan IS 'what its price is of; null: no plan of ours';
  COMMENT ON COLUMN billing.subscriptions.amount_minor IS 'per period, all items, before credits and taxes';
  COMMENT ON COLUMN billing.subscriptions.keeps_plan IS 'a change to a cheaper plan is agreed: until keeps_until this one is paid and holds';
  COMMENT ON COLUMN billing.subscriptions.main IS 'the one that the account goes by, where somebody made a second one';

  CREATE TABLE billing.subscription_items (
    tenant_id       uuid NOT NULL,
    subscription_id text NOT NULL,
    stripe_id       text NOT NULL,
    price_id        text NOT NULL,
    quantity        bigint NOT NULL,
    addon           text REFERENCES billing.addons ON UPDATE CASCADE,
    PRIMARY KEY (tenant_id, subscription_id, stripe_id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES billing.subscriptions ON DELETE CASCADE
  );
  CREATE INDEX ON billing.subscription_items (addon);
  COMMENT ON COLUMN billing.subscription_items.addon IS 'null: the plan''s own item';

  CREATE TABLE billing.invoices (
    tenant_id       uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    stripe_id       text NOT NULL,
    subscription_id text,
    number          text,
    status          text NOT NULL CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    reason          text,
    currency        text NOT NULL,
    subtotal_minor  bigint NOT NULL,
    tax_minor       bigint NOT NULL DEFAULT 0,
    total_minor     bigint NOT NULL,
    due_minor       bigint NOT NULL,
    paid_minor      bigint NOT NULL,
    remaining_minor bigint NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    period_start    timestamptz NOT NULL,
    period_end      timestamptz NOT NULL,
    finalized_at    timestamptz,
    paid_at         timestamptz,
    hosted_url      text,
    pdf_url         text,
    livemode        boolean NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stripe_id)
  );
  CREATE INDEX ON billing.invoices (tenant_id, created_at);
  COMMENT ON COLUMN billing.invoices.due_minor IS 'after credits; amounts are in minor units of currency';
  COMMENT ON COLUMN billing.invoices.hosted_url IS 'where whoever has it can pay';

  CREATE TABLE billing.payments (
    tenant_id       uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    stripe_id       text NOT NULL,
    invoice_id      text,
    status          text NOT NULL CHECK (status IN ('succeeded', 'pending', 'failed')),
    amount_minor    bigint NOT NULL,
    refunded_minor  bigint NOT NULL DEFAULT 0,
    currency        text NOT NULL,
    brand           text,
    last4           text,
    failure_code    text,
    failure_message text,
    livemode        boolean NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stripe_id)
  );
  CREATE INDEX ON billing.payments (tenant_id, created_at);
  COMMENT ON TABLE billing.payments IS 'each try to charge an invoice, Stripe''s charge';

  CREATE TABLE billing.accounts (
    tenant_id    uuid PRIMARY KEY REFERENCES tenants.tenants ON DELETE CASCADE,
    state        text NOT NULL DEFAULT 'none' CHECK (state IN ('none', 'pending', 'trialing', 'active', 'past_due', 'paused', 'canceled', 'suspended')),
    since        timestamptz NOT NULL,
    grace_until  timestamptz,
    reminders    smallint NOT NULL DEFAULT 0,
    due_at       timestamptz,
    suspended_at timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX accounts_due ON billing.accounts (due_at) WHERE due_at IS NOT NULL;
  COMMENT ON COLUMN billing.accounts.since IS 'by the account''s own clock, from Stripe''s facts';
  COMMENT ON COLUMN billing.accounts.reminders IS 'how many were due in this state';
  COMMENT ON COLUMN billing.accounts.due_at IS 'when time alone changes something; null: never';
  COMMENT ON COLUMN billing.accounts.suspended_at IS 'the suspension of the tenant that is billing''s own doing, and is lifted by a payment';

  CREATE TABLE billing.tenant_addons (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    addon      text NOT NULL REFERENCES billing.addons ON UPDATE CASCADE,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, addon)
  );
  CREATE INDEX ON billing.tenant_addons (addon);

  -- What is changed at Stripe on a tenant's behalf. An operation that was begun is
  -- finished, by whoever began it or by the queue; the keys of its calls come of its id.
  CREATE TABLE billing.operations (
    tenant_id    uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    kind         text NOT NULL CHECK (kind IN ('subscribe', 'change_plan', 'set_seats', 'set_addon', 'set_payment_method', 'cancel', 'resume', 'checkout', 'portal', 'report_overage', 'start_clock')),
    input        jsonb NOT NULL DEFAULT '{}',
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
    results      jsonb NOT NULL DEFAULT '{}',
    failure      jsonb,
    actor        jsonb NOT NULL,
    tries        integer NOT NULL DEFAULT 0,
    lease        uuid,
    leased_until timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
  );
  CREATE UNIQUE INDEX operations_open_key ON billing.operations (tenant_id) WHERE state = 'open' AND kind NOT IN ('portal', 'report_overage');
  CREATE INDEX operations_updated ON billing.operations (updated_at) WHERE state = 'open'; -- those that nobody finishes
  COMMENT ON COLUMN billing.operations.results IS 'by step: the generation of its idempotency key, and the id it made at Stripe';

  CREATE TABLE billing.effects (
    tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    key       text NOT NULL CHECK (length(key) <= 255),
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
  );
  COMMENT ON TABLE billing.effects IS 'what was told to people of which fact: each once';

  CREATE TABLE billing.overages (
    tenant_id    uuid NOT NULL,
    meter        text NOT NULL REFERENCES billing.meters ON UPDATE CASCADE,
    period_start timestamptz NOT NULL,
    billable     numeric(38,9) NOT NULL,
    "limit"      bigint NOT NULL,
    units        bigint NOT NULL CHECK (units > 0),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL,
    item_id      text,
    reported_at  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, meter, period_start),
    FOREIGN KEY (tenant_id, period_start) REFERENCES billing.usage_periods ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK ((item_id IS NULL) = (reported_at IS NULL))
  );
  CREATE INDEX ON billing.overages (meter);
  CREATE INDEX overages_unreported ON billing.overages (created_at) WHERE reported_at IS NULL;
  CREATE INDEX ON billing.overages (tenant_id, period_start);
  COMMENT ON TABLE billing.overages IS 'what a period that is closed cost beyond its soft limits: one line of an invoice each';
  ALTER TABLE billing.usage_periods ADD COLUMN billed_at timestamptz;
  CREATE INDEX usage_periods_to_bill ON billing.usage_periods (ends_at) WHERE closed_at IS NOT NULL AND billed_at IS NULL;
  COMMENT ON COLUMN billing.usage_periods.billed_at IS 'when its overages were computed';

  -- What a period is billed by: its limits when it ended, or when the subscription did in
  -- it. The plan of the day it is computed may be another by then.
  CREATE TABLE billing.usage_terms (
    tenant_id     uuid NOT NULL,
    meter         text NOT NULL REFERENCES billing.meters ON UPDATE CASCADE ON DELETE CASCADE,
    period_start  timestamptz NOT NULL,
    plan          text NOT NULL,
    "limit"       bigint NOT NULL,
    enforcement   text NOT NULL,
    overage_minor bigint,
    overage_unit  bigint NOT NULL,
    currency      text NOT NULL,
    noted_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, meter, period_start),
    FOREIGN KEY (tenant_id, period_start) REFERENCES billing.usage_periods ON UPDATE CASCADE ON DELETE CASCADE
  );
  CREATE INDEX ON billing.usage_terms (meter);
  CREATE INDEX ON billing.usage_terms (tenant_id, period_start);
  COMMENT ON COLUMN billing.usage_terms.plan IS 'its code then; the plan may be gone since';

  CREATE TABLE billing.drift (
    tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    object_id text NOT NULL,
    what      text NOT NULL,
    here      text,
    there     text,
    found_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, object_id, what)
  );
  COMMENT ON TABLE billing.drift IS 'where the last reconciliation found Stripe and the tables here to differ';

  -- The objects of Stripe that events were about. Each event is a hint that the object
  -- changed; whoever holds the lease fetches what it is now and applies it.
  CREATE TABLE billing.stripe_objects (
    object_id    text PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('customer', 'subscription', 'invoice', 'charge', 'payment_method', 'checkout_session', 'test_clock')),
    livemode     boolean NOT NULL,
    customer_id  text,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'applied', 'parked', 'dead')),
    reason       text,
    hints        bigint NOT NULL DEFAULT 0,
    applied      bigint NOT NULL DEFAULT 0,
    tries        integer NOT NULL DEFAULT 0,
    lease        uuid,
    leased_until timestamptz,
    hinted_at    timestamptz NOT NULL DEFAULT now(),
    applied_at   timestamptz,
    CHECK ((state IN ('parked', 'dead')) = (reason IS NOT NULL))
  );
  CREATE INDEX stripe_objects_parked ON billing.stripe_objects (customer_id) WHERE state = 'parked';
  CREATE INDEX stripe_objects_waiting ON billing.stripe_objects (hinted_at) WHERE state = 'waiting';
  CREATE INDEX stripe_objects_unsettled ON billing.stripe_objects (state) WHERE state <> 'applied';
  COMMENT ON COLUMN billing.stripe_objects.hints IS 'how many events were about it; applied: how many of them had come when it was last fetched';
  COMMENT ON COLUMN billing.stripe_objects.state IS 'parked: it is of nobody yet, or of no plan; dead: every try failed; the reason says why';

  CREATE TABLE billing.stripe_events (
    event_id    text PRIMARY KEY,
    type        text NOT NULL,
    object_id   text,
    number      bigint,
    livemode    boolean NOT NULL,
    api_version text NOT NULL,
    created_at  timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    deliveries  integer NOT NULL DEFAULT 1,
    reason      text,
    payload     text NOT NULL
  );
  CREATE INDEX stripe_events_received ON billing.stripe_events (received_at);
  CREATE INDEX stripe_events_unfollowed ON billing.stripe_events (received_at) WHERE reason IS NOT NULL;
  CREATE INDEX stripe_events_object ON billing.stripe_events (object_id, number);
  COMMENT ON COLUMN billing.stripe_events.number IS 'which hint of its object it was';
  COMMENT ON COLUMN billing.stripe_events.reason IS 'why it is no hint: of a kind that is not followed, or of another mode; null: it is one';

  -- Keeps events that were delivered together, and hints of their objects. Says of each
  -- whether it is new. What is locked is locked in the order of its id.
  CREATE FUNCTION billing.accept_events(ids text[], types text[], objects text[], kinds text[], customers text[],
      livemodes boolean[], versions text[], created timestamptz[], reasons text[], payloads text[])
    RETURNS TABLE (event_id text, fresh boolean)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  #variable_conflict use_column
  DECLARE
    new_ids text[];
  BEGIN
    WITH given AS (
      SELECT DISTINCT ON (g.id) g.* FROM unnest(ids, types, objects, livemodes, versions, created, reasons, payloads)
        AS g (id, type, object, livemode, version, created, reason, payload) ORDER BY g.id
    ), kept AS (
      INSERT INTO billing.stripe_events AS e (event_id, type, object_id, livemode, api_version, created_at, reason, payload)
      SELECT g.id, g.type, g.object, g.livemode, g.version, g.created, g.reason, g.payload FROM given g ORDER BY g.id
      ON CONFLICT (event_id) DO UPDATE SET deliveries = e.deliveries + 1
      RETURNING e.event_id, e.deliveries)
    SELECT array_agg(k.event_id) FILTER (WHERE k.deliveries = 1) INTO new_ids FROM kept k;

    WITH hinted AS (
      SELECT g.object, min(g.kind) AS kind, min(g.customer) AS customer, bool_and(g.livemode) AS livemode, count(*) AS hints
      FROM (SELECT DISTINCT ON (u.id) u.* FROM unnest(ids, objects, kinds, customers, livemodes, reasons)
              AS u (id, object, kind, customer, livemode, reason)) g
      WHERE g.id = ANY (new_ids) AND g.reason IS NULL
      GROUP BY g.object
    ), counted AS (
      INSERT INTO billing.stripe_objects AS o (object_id, kind, livemode, customer_id, hints)
      SELECT h.object, h.kind, h.livemode, h.customer, h.hints FROM hinted h ORDER BY h.object
      ON CONFLICT (object_id) DO UPDATE SET hints = o.hints + excluded.hints, state = 'waiting', reason = NULL, tries = 0,
        hinted_at = now(), customer_id = coalesce(excluded.customer_id, o.customer_id)
      RETURNING o.object_id, o.hints)
    UPDATE billing.stripe_events e SET number = c.hints FROM counted c
    WHERE e.event_id = ANY (new_ids) AND e.reason IS NULL AND e.object_id = c.object_id;

    RETURN QUERY SELECT i.id, i.id = ANY (coalesce(new_ids, '{}')) FROM (SELECT DISTINCT unnest(ids) AS id) i;
  END
  $function$;

  -- What time it is for a tenant's account.
  CREATE FUNCTION billing.clock(tenant uuid) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce((SELECT c.clock_at FROM billing.customers c WHERE c.tenant_id = clock.tenant), now());

  -- What a tenant may use of a meter: what was agreed with it, else its plan (or the
  -- meter's default) and what its add-ons add to that. No row: no such tenant or meter.
  CREATE OR REPLACE FUNCTION billing.entitlement(tenant uuid, meter text)
    RETURNS TABLE ("limit" bigint, enforcement text, source text)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
    BEGIN ATOMIC
      SELECT CASE
               WHEN o.meter IS NOT NULL THEN o."limit"
               WHEN coalesce(l."limit", m.default_limit) = -1 THEN -1
               ELSE LEAST(coalesce(l."limit", m.default_limit) + coalesce(a.amount, 0), 9223372036854775807)::bigint END,
             coalesce(o.enforcement, l.enforcement, 'hard'),
             CASE WHEN o.meter IS NOT NULL THEN 'tenant'
                  WHEN a.amount IS NOT NULL AND coalesce(l."limit", m.default_limit) <> -1 THEN 'addon'
                  WHEN l.meter IS NOT NULL THEN 'plan' ELSE 'default' END
      FROM tenants.tenants t
      JOIN billing.meters m ON m.code = entitlement.meter
      LEFT JOIN billing.tenant_limits o ON o.tenant_id = t.id AND o.meter = m.code AND (o.expires_at IS NULL OR o.expires_at > now())
      LEFT JOIN billing.plan_limits l ON l.plan = t.plan AND l.meter = m.code
      LEFT JOIN LATERAL (
        SELECT sum(b.amount * h.quantity::numeric) AS amount FROM billing.tenant_addons h
        JOIN billing.addon_limits b ON b.addon = h.addon AND b.meter = m.code
        WHERE h.tenant_id = t.id) a ON true
      WHERE t.id = entitlement.tenant;
    END;

  -- Notes by which limits the periods of a tenant that began before a moment are billed, as
  -- they are now; what was noted of a period stays. null: of every tenant.
  CREATE FUNCTION billing.note_terms(tenant uuid, before timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    noted bigint;
  BEGIN
    INSERT INTO billing.usage_terms (tenant_id, meter, period_start, plan, "limit", enforcement, overage_minor, overage_unit, currency)
    SELECT p.tenant_id, m.code, p.starts_at, t.plan, e."limit", e.enforcement, l.overage_minor, coalesce(l.overage_unit, 1), n.currency
    FROM billing.usage_periods p
    JOIN tenants.tenants t ON t.id = p.tenant_id
    JOIN billing.plans n ON n.code = t.plan
    CROSS JOIN billing.meters m
    CROSS JOIN LATERAL billing.entitlement(p.tenant_id, m.code) e
    LEFT JOIN billing.plan_limits l ON l.plan = t.plan AND l.meter = m.code
    WHERE p.billed_at IS NULL AND p.ends_at <= note_terms.before AND (note_terms.tenant IS NULL OR p.tenant_id = note_terms.tenant)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS noted = ROW_COUNT;
    RETURN noted;
  END
  $function$;

  -- Before what a tenant may use changes, the periods that ended are noted as it was. With
  -- the end of what it paid for the running one is noted too, until it pays again.
  CREATE FUNCTION billing.note_terms_of_tenant() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    changed jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    tenant uuid := CASE WHEN TG_TABLE_NAME = 'tenants' THEN changed ->> 'id' ELSE changed ->> 'tenant_id' END;
    pays boolean;
  BEGIN
    PERFORM billing.note_terms(tenant, now());
    IF TG_TABLE_NAME = 'tenants' THEN
      pays := EXISTS (SELECT FROM billing.plans p WHERE p.code = changed ->> 'plan' AND p.price_minor > 0);
      IF NOT pays THEN
        PERFORM billing.note_terms(tenant, 'infinity');
      ELSE
        DELETE FROM billing.usage_terms u USING billing.usage_periods p
        WHERE u.tenant_id = tenant AND p.tenant_id = tenant AND p.starts_at = u.period_start AND p.ends_at > now();
      END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
  END
  $function$;
  CREATE FUNCTION billing.note_terms_of_all() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    PERFORM billing.note_terms(NULL, now());
    RETURN NULL;
  END
  $function$;
  CREATE TRIGGER note_terms BEFORE UPDATE OF plan ON tenants.tenants FOR EACH ROW
    WHEN (OLD.plan IS DISTINCT FROM NEW.plan) EXECUTE FUNCTION billing.note_terms_of_tenant();
  CREATE TRIGGER note_terms BEFORE INSERT OR UPDATE OR DELETE ON billing.tenant_addons FOR EACH ROW EXECUTE FUNCTION billing.note_terms_of_tenant();
  CREATE TRIGGER note_terms BEFORE INSERT OR UPDATE OR DELETE ON billing.tenant_limits FOR EACH ROW EXECUTE FUNCTION billing.note_terms_of_tenant();
  CREATE TRIGGER note_terms BEFORE INSERT OR UPDATE OR DELETE ON billing.plan_limits FOR EACH STATEMENT EXECUTE FUNCTION billing.note_terms_of_all();
  CREATE TRIGGER note_terms BEFORE INSERT OR UPDATE OR DELETE ON billing.addon_limits FOR EACH STATEMENT EXECUTE FUNCTION billing.note_terms_of_all();

  CREATE TRIGGER notify_limits AFTER INSERT OR UPDATE OR DELETE ON billing.tenant_addons FOR EACH ROW EXECUTE FUNCTION nself.notify_limits();
  CREATE TRIGGER notify_limits AFTER INSERT OR UPDATE OR DELETE ON billing.addon_limits FOR EACH STATEMENT EXECUTE FUNCTION nself.notify_all_limits();
  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON billing.addons FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();
  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON billing.addon_limits FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();

  REVOKE ALL ON FUNCTION billing.accept_events(text[], text[], text[], text[], text[], boolean[], text[], timestamptz[], text[], text[]),
    billing.clock(uuid), billing.note_terms(uuid, timestamptz), billing.note_terms_of_tenant(), billing.note_terms_of_all() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION billing.accept_events(text[], text[], text[], text[], text[], boolean[], text[], timestamptz[], text[], text[]), billing.note_terms(uuid, timestamptz) TO nself_server;
  GRANT EXECUTE ON FUNCTION billing.clock(uuid) TO nself_server, nself_tenant;
  GRANT SELECT, INSERT, UPDATE, DELETE ON billing.prices, billing.stripe_objects, billing.stripe_events TO nself_server;
END
$migration$;
