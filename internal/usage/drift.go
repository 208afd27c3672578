package usage

// comparedPeriods are the periods whose totals are compared. What the others were found to
// be is final.
const comparedPeriods = `
compared AS MATERIALIZED (
	SELECT p.starts_at, p.closed_at FROM billing.usage_periods p
	WHERE p.tenant_id = @tenant_id
		AND (p.closed_at IS NULL OR p.closed_at > now() - interval '35 days' OR p.starts_at = ANY(@noted::timestamptz[])))`

// latestTotal tells whether a total t is its meter's latest, which is the one that a level
// is in.
const latestTotal = `
NOT EXISTS (SELECT FROM billing.usage_totals l WHERE l.tenant_id = t.tenant_id AND l.meter = t.meter AND l.period_start > t.period_start)`

// noteUsedSQL sees one moment, as each of these statements does. It reads no records but
// those from an hour before the first of the periods on. A level begins with what it was at
// the end of the period before; the latest one has rows to be compared with. A closed
// period whose records are gone in part is left out.
const noteUsedSQL = `
WITH ` + comparedPeriods + `, recorded AS MATERIALIZED (
	SELECT r.meter, r.period_start, r.at, r.amount, r.value, r.idempotency_key, r.source
	FROM compared p JOIN billing.usage_records r ON r.period_start = p.starts_at
		AND r.recorded_at >= p.starts_at - interval '1 hour' AND r.recorded_at <= coalesce(p.closed_at, now()) + interval '1 hour'
	WHERE r.tenant_id = @tenant_id
		AND r.recorded_at >= (SELECT min(starts_at) - interval '1 hour' FROM compared) AND r.recorded_at <= now() + interval '1 hour'
), summed AS (
	SELECT meter, period_start, sum(amount) AS amount, count(*) AS events FROM recorded GROUP BY 1, 2
), highest AS (
	SELECT r.meter, r.period_start, max(r.amount) AS amount
	FROM recorded r JOIN billing.meters m ON m.code = r.meter AND m.aggregation = 'max'
	WHERE r.source <> 'reversal' AND NOT EXISTS (
		SELECT FROM recorded n WHERE n.meter = r.meter AND n.at = r.at AND n.idempotency_key = r.idempotency_key AND n.source = 'reversal')
	GROUP BY 1, 2
), different AS (
	SELECT v.meter, v.period_start, count(*) AS amount FROM (
		SELECT r.meter, r.period_start, r.value
		FROM recorded r JOIN billing.meters m ON m.code = r.meter AND m.aggregation = 'unique'
		GROUP BY 1, 2, 3 HAVING sum(CASE r.source WHEN 'reversal' THEN -1 ELSE 1 END) > 0) v
	GROUP BY 1, 2
), counted AS (
	SELECT t.meter, t.period_start, t.used, n.amount IS NOT NULL OR p.closed_at IS NULL OR coalesce(s.events, 0) = t.events AS whole,
		coalesce(CASE m.aggregation
			WHEN 'max' THEN h.amount
			WHEN 'unique' THEN d.amount
			WHEN 'level' THEN coalesce(n.amount, coalesce(f.used, 0) + coalesce(s.amount, 0))
			ELSE s.amount END, 0) AS amount
	FROM compared p
	JOIN billing.usage_totals t ON t.tenant_id = @tenant_id AND t.period_start = p.starts_at
	JOIN billing.meters m ON m.code = t.meter
	LEFT JOIN summed s ON s.meter = t.meter AND s.period_start = t.period_start
	LEFT JOIN highest h ON h.meter = t.meter AND h.period_start = t.period_start
	LEFT JOIN different d ON d.meter = t.meter AND d.period_start = t.period_start
	LEFT JOIN LATERAL (
		SELECT billing.present_level(t.tenant_id, t.meter) AS amount WHERE m.aggregation = 'level' AND ` + latestTotal + `) n ON true
	LEFT JOIN LATERAL (
		SELECT e.used FROM billing.usage_totals e WHERE e.tenant_id = t.tenant_id AND e.meter = t.meter
			AND e.period_start < t.period_start ORDER BY e.period_start DESC LIMIT 1) f ON true
)
INSERT INTO billing.usage_drift (tenant_id, meter, period_start, what, total, counted)
SELECT @tenant_id, meter, period_start, 'used', used, amount FROM counted WHERE whole AND used <> amount`

// noteHeldSQL: a level is held in its latest total, since whichever period it was reserved.
const noteHeldSQL = `
WITH ` + comparedPeriods + `, counted AS (
	SELECT t.meter, t.period_start, t.held, (
			SELECT coalesce(sum(r.amount), 0) FROM billing.quota_reservations r
			WHERE r.tenant_id = t.tenant_id AND r.meter = t.meter AND r.state = 'open'
				AND CASE m.aggregation WHEN 'level' THEN ` + latestTotal + ` ELSE r.period_start = t.period_start END
		) + (
			SELECT coalesce(sum(l.held), 0) FROM billing.quota_leases l
			WHERE l.tenant_id = t.tenant_id AND l.meter = t.meter AND l.period_start = t.period_start) AS amount
	FROM compared p
	JOIN billing.usage_totals t ON t.tenant_id = @tenant_id AND t.period_start = p.starts_at
	JOIN billing.meters m ON m.code = t.meter
)
INSERT INTO billing.usage_drift (tenant_id, meter, period_start, what, total, counted)
SELECT @tenant_id, meter, period_start, 'held', held, amount FROM counted WHERE held <> amount`

// noteMissingSQL finds levels of tables of the application's own that have rows and no
// total: no event of them ever came. The built-in ones have members of before there were
// meters, which are counted when one of them changes.
const noteMissingSQL = `
INSERT INTO billing.usage_drift (tenant_id, meter, period_start, what, total, counted)
SELECT @tenant_id, n.meter, p.starts_at, 'used', 0, n.amount
FROM (
	SELECT m.code AS meter, billing.present_level(@tenant_id, m.code) AS amount FROM billing.meters m
	WHERE m.aggregation = 'level' AND NOT m.built_in
		AND NOT EXISTS (SELECT FROM billing.usage_totals t WHERE t.tenant_id = @tenant_id AND t.meter = m.code)) n
CROSS JOIN LATERAL billing.period(@tenant_id, now()) p
WHERE n.amount > 0`
