-- An enum, a trigger function and a view are the tenant's own too. The function finds
-- contacts and deals whatever search_path its caller has.
CREATE TYPE deal_stage AS ENUM ('open', 'won', 'lost');

CREATE TABLE deals (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  stage      deal_stage NOT NULL DEFAULT 'open',
  amount     bigint NOT NULL CHECK (amount >= 0),
  changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deals_by_contact ON deals (contact_id);

CREATE FUNCTION touch_deal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed_at := now();
  RETURN NEW;
END
$$;
CREATE TRIGGER touch_deal BEFORE UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION touch_deal();

CREATE VIEW open_deals AS
  SELECT d.id, d.amount, c.name AS contact FROM deals d JOIN contacts c ON c.id = d.contact_id WHERE d.stage = 'open';
