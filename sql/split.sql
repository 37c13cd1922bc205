-- Splits are a pure function of key, seed and fractions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
SELECT k, pneumo_split(k, 0, 0.15, 0.15) AS text, pneumo_split(convert_to(k, 'UTF8'), 0, 0.15, 0.15) AS bytea,
	   pneumo_split(k, 1, 0.15, 0.15) AS seed_1
FROM (SELECT 'patient ' || i AS k FROM generate_series(1, 10) i) s;

-- anyone can recompute it
WITH digits AS (
	SELECT i, ('x' || encode(substr(sha256(convert_to('0:' || i, 'UTF8')), 1, 7), 'hex'))::bit(56)::bigint AS bits
	FROM generate_series(1, 2000) i)
SELECT count(*) AS different
FROM digits
WHERE pneumo_split(i::text, 0, 0.2, 0.1) <>
	  CASE WHEN bits / 2.0::float8 ^ 56 < 0.1 THEN 'test' WHEN bits / 2.0::float8 ^ 56 < 0.1 + 0.2 THEN 'validation' ELSE 'train' END;

-- the fractions come out, and the test side does not depend on the validation side
SELECT pneumo_split(i::text, 7, 0.2, 0.1) AS side, round(count(*) / 10000.0, 2) AS part
FROM generate_series(1, 10000) i GROUP BY 1 ORDER BY 1;
SELECT count(*) FILTER (WHERE pneumo_split(i::text, 7, 0.2, 0.1) = 'test') =
	   count(*) FILTER (WHERE pneumo_split(i::text, 7, 0.2, 0.1) = 'test' AND pneumo_split(i::text, 7, 0.6, 0.1) = 'test') AS same_test
FROM generate_series(1, 10000) i;
SELECT DISTINCT pneumo_split(i::text, 0, 0, 0) AS all_train, pneumo_split(i::text, 0, 1, 0) AS all_validation,
	   pneumo_split(i::text, 0, 0, 1) AS all_test
FROM generate_series(1, 1000) i;

SELECT pneumo_split('a', 0, 1.5, 0);
SELECT pneumo_split('a', 0, 0.6, 0.6);
SELECT pneumo_split('a', 0, 'NaN', 0.1);
SELECT pneumo_split(NULL::text, 0, 0.1, 0.1) IS NULL AS strict;
SELECT oid::regprocedure, provolatile, proparallel FROM pg_proc WHERE proname = 'pneumo_split' ORDER BY 1;
