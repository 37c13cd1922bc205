-- Are the maps about the score?  Two tests over many phantoms that no training has seen:
--
--	occlusion		hiding the place that speaks most for PNEUMONIA must move the score more
--					than hiding the place, also within the lungs, where the map is coldest.
--					Judged on images that are called PNEUMONIA: in the others there is nothing
--					to hide, and a smooth patch over a clear lung is itself a finding (their
--					figures are shown, too)
--	randomisation	a network of the same shape with random weights must give another
--					map (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018)
--
-- psql variables: images (to train with), tested (phantoms), epochs, seed (added to the seeds of all phantoms).
\set VERBOSITY terse
\pset footer off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE trained AS
	SELECT i AS id, i / 2 AS patient, label, pneumo_phantom(:seed + i, label) AS image
	FROM generate_series(1, :images) i, LATERAL (SELECT CASE i / 2 % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) x (label);
CREATE TABLE tested AS
	SELECT i AS id, label, pneumo_phantom(:seed + 1000000 + i, label) AS image
	FROM generate_series(1, :tested) i, LATERAL (SELECT CASE i % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) x (label);
SELECT pneumo_train('trained', jsonb_build_object('name', 'explained', 'model', 'deep', 'image_size', '[128, 128]'::jsonb,
	'learning_rate', 0.0005, 'group_column', 'patient', 'epochs', :epochs, 'verbose', 0)) > 0 AS trained;
SELECT pneumo_train('trained', '{"name": "random", "model": "deep", "image_size": [128, 128], "group_column": "patient",
	"epochs": 1, "steps_per_epoch": 1, "learning_rate": 1e-12, "seed": 1, "verbose": 0}') > 0 AS random;
SELECT round(avg(((pneumo_predict(image, 'explained') >= 0.5) = (label = 'PNEUMONIA'))::int), 3) AS accuracy FROM tested;

CREATE FUNCTION logit(double precision) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN ln(greatest($1, 1e-12) / greatest(1 - $1, 1e-12));

-- windows of a quarter of the side, within the lungs, by what the map has in them
CREATE TABLE maps AS
	SELECT id, m.height, m.width, m.map, r.map AS random
	FROM tested, pneumo_heatmap(image, 'explained') m, pneumo_heatmap(image, 'random') r;
CREATE TABLE windows AS
	SELECT id, y, x, height, width, w.*
	FROM maps, generate_series(height / 5 + 1, 4 * height / 5 - height / 4 + 1) y, generate_series(width / 8 + 1, 7 * width / 8 - width / 4 + 1) x,
		 LATERAL (SELECT sum(v) AS evidence, sum(abs(v)) AS heat FROM unnest(map[y : y + height / 4 - 1][x : x + width / 4 - 1]) v) w;
CREATE TABLE hidden (id integer, kind text, image bytea);
CREATE VIEW to_hide AS
	SELECT w.id, kind, (y - 1)::float8 / height AS top, (x - 1)::float8 / width AS left_side,
		   (y - 1 + height / 4)::float8 / height AS bottom, (x - 1 + width / 4)::float8 / width AS right_side, encode(t.image, 'hex') AS jpeg
	FROM (SELECT DISTINCT ON (id) 'hot' AS kind, * FROM windows ORDER BY id, evidence DESC) w JOIN tested t USING (id)
	UNION ALL
	SELECT w.id, kind, (y - 1)::float8 / height, (x - 1)::float8 / width,
		   (y - 1 + height / 4)::float8 / height, (x - 1 + width / 4)::float8 / width, encode(t.image, 'hex')
	FROM (SELECT DISTINCT ON (id) 'cold' AS kind, * FROM windows ORDER BY id, heat) w JOIN tested t USING (id);
\copy (SELECT * FROM to_hide) TO PROGRAM './occlude > hidden.txt'
\copy hidden FROM 'hidden.txt'

CREATE TABLE moved AS
	SELECT id, bool_or(before >= 0) AS called, max(abs(after - before)) FILTER (WHERE kind = 'hot') AS hot,
		   max(abs(after - before)) FILTER (WHERE kind = 'cold') AS cold
	FROM (SELECT id, kind, logit(pneumo_predict(h.image, 'explained')) AS after, logit(pneumo_predict(t.image, 'explained')) AS before
		  FROM hidden h JOIN tested t USING (id)) s
	GROUP BY id;
\echo == occlusion: how far hiding a window moves the logit
SELECT CASE WHEN called THEN 'called PNEUMONIA' ELSE 'called NORMAL' END AS images, count(*), round(avg(hot)::numeric, 3) AS hot,
	   round(avg(cold)::numeric, 3) AS cold, round(avg((hot > cold)::int), 3) AS hot_moves_more
FROM moved GROUP BY called ORDER BY called DESC;
\echo == randomisation: correlation of the map with that of random weights
CREATE TABLE correlated AS
	SELECT id, (SELECT corr(a, b) FROM unnest(map, random) u (a, b)) AS r FROM maps;
SELECT count(*) AS images, round(avg(r)::numeric, 3) AS mean, round(avg(abs(r))::numeric, 3) AS mean_size, round(max(abs(r))::numeric, 3) AS largest FROM correlated;

DO $$
BEGIN
	IF (SELECT avg((hot > cold)::int) < 0.75 OR avg(hot) < 2 * avg(cold) FROM moved WHERE called) THEN
		RAISE 'hiding what the map calls hot does not move the score enough';
	END IF;
	IF (SELECT avg(abs(r)) FROM correlated) > 0.5 THEN
		RAISE 'random weights hardly change the map';
	END IF;
END $$;
\echo both tests passed
