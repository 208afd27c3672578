CREATE SCHEMA app;
CREATE TYPE app.status AS ENUM ('active', 'suspended', 'deleted');
CREATE DOMAIN app.slug AS text CHECK (VALUE ~ '^[a-z0-9-]+$');

CREATE TABLE app.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug app.slug NOT NULL CONSTRAINT tenants_slug_key UNIQUE,
    name text NOT NULL,
    status app.status NOT NULL DEFAULT 'active',
    seats int NOT NULL DEFAULT 1 CONSTRAINT seats_positive CHECK (seats > 0),
    credit bigint NOT NULL DEFAULT 0,
    balance numeric NOT NULL DEFAULT 0,
    ratio float8,
    rank smallint,
    settings jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    secret text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE app.tenants IS 'who "shares" this \ database';

CREATE TABLE app.members (
    tenant_id uuid NOT NULL REFERENCES app.tenants (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE app.notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    author_id uuid NOT NULL,
    title text NOT NULL,
    body text,
    words int NOT NULL DEFAULT 0,
    changed_by text,
    FOREIGN KEY (tenant_id, author_id) REFERENCES app.members (tenant_id, user_id) ON DELETE CASCADE
);

CREATE TABLE app.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    setting text NOT NULL
);
CREATE FUNCTION app.audit_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO app.audit (setting) VALUES (coalesce(current_setting('hasura.user', true), 'none'));
    RETURN NULL;
END $$;
CREATE TRIGGER audit_note AFTER INSERT OR UPDATE OR DELETE ON app.notes FOR EACH ROW EXECUTE FUNCTION app.audit_note();

CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a rule that no client may read';
END $$;
CREATE TRIGGER refuse BEFORE UPDATE OF secret ON app.tenants FOR EACH ROW EXECUTE FUNCTION app.refuse();

-- tells what session a reading statement sees
CREATE VIEW app.probe AS SELECT 1 AS id, coalesce(current_setting('hasura.user', true), '') AS setting;

CREATE TABLE public.announcements (id int PRIMARY KEY, text text NOT NULL, "not graphql" int);

GRANT USAGE ON SCHEMA app TO nself_hasura;
GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON ALL TABLES IN SCHEMA app TO nself_hasura;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.announcements TO nself_hasura;

INSERT INTO app.tenants (id, slug, name, seats, credit, balance, ratio, rank, settings, tags, secret, created_at) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'acme', 'Acme', 5, 9007199254740993, 12345678901234567890.123456789, 0.5, 1,
     '{"theme": {"dark": true}, "list": [1, 2], "plan": "pro"}', '{red,"light blue"}', 'top', '2026-01-02T03:04:05.678901Z'),
    ('a0000000-0000-4000-8000-000000000002', 'techco', 'TechCo', 2, 0, 0, NULL, NULL, '{}', '{}', NULL, '2026-01-03T00:00:00Z');
INSERT INTO app.members (tenant_id, user_id, role) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000001', 'owner'),
    ('a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002', 'member'),
    ('a0000000-0000-4000-8000-000000000002', 'b0000000-0000-4000-8000-000000000003', 'owner');
INSERT INTO app.notes (tenant_id, author_id, title, body, words) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000001', 'alpha', 'first', 10),
    ('a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002', 'beta', NULL, 20),
    ('a0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000001', 'gamma', 'third', 30),
    ('a0000000-0000-4000-8000-000000000002', 'b0000000-0000-4000-8000-000000000003', 'delta', 'other tenant', 40);
TRUNCATE app.audit;
INSERT INTO public.announcements VALUES (1, 'hello', 7);
