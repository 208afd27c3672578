-- Every tenant with a schema of its own gets these tables. No schema stands in front of a
-- name, and no table has a tenant column: all of it is the tenant's.
CREATE TABLE companies (
  id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL UNIQUE
);

CREATE TABLE contacts (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company_id uuid REFERENCES companies ON DELETE SET NULL,
  name       text NOT NULL CHECK (name <> ''),
  email      text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX contacts_by_company ON contacts (company_id);
