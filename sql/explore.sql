-- Exploring images: pictures of many, eigenimages, the check of a table.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\set VERBOSITY terse

CREATE TABLE explore (id int PRIMARY KEY, patient text, label text, image bytea);
INSERT INTO explore
	SELECT i, 'p' || (i + 1) / 2, l, pneumo_phantom(i, l, 96)
	FROM generate_series(1, 80) i, LATERAL (SELECT CASE WHEN (i + 1) / 2 % 2 = 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) c(l);

-- pictures: the size asked for, 256 x 256 by default, contrast in colour
SELECT kind, width, height, components FROM (
	SELECT 1, 'mean', pneumo_mean_image(image) FROM explore UNION ALL
	SELECT 2, 'mean', pneumo_mean_image(image, 48, 64) FROM explore UNION ALL
	SELECT 3, 'std', pneumo_std_image(image) FROM explore UNION ALL
	SELECT 4, 'std', pneumo_std_image(image, 48, 64) FROM explore UNION ALL
	SELECT 5, 'contrast', pneumo_contrast_image(image, label = 'PNEUMONIA') FROM explore UNION ALL
	SELECT 6, 'contrast', pneumo_contrast_image(image, label = 'PNEUMONIA', 48, 64) FROM explore UNION ALL
	SELECT 7, 'contrast', pneumo_contrast_image(image, label = 'PNEUMONIA', 48, 64, 10) FROM explore) p(n, kind, image),
	LATERAL pneumo_image_info(image) ORDER BY n;

-- the mean of one image is the image
SELECT pneumo_mean_image(image, 96, 96) = pneumo_augment((array_agg(image))[1], '{"model": "baseline", "image_size": [96, 96]}') AS itself
FROM explore WHERE id = 1;

-- one image again and again: mean as one, no deviation, no contrast
SELECT pneumo_mean_image(image, 32, 32) = (SELECT pneumo_mean_image(image, 32, 32) FROM explore WHERE id = 1) AS mean,
	   pneumo_std_image(image, 32, 32) = (SELECT pneumo_std_image(image, 32, 32) FROM explore WHERE id = 2) AS std,
	   pneumo_contrast_image(image, g % 2 = 0, 32, 32) =
	   (SELECT pneumo_contrast_image(image, g % 2 = 0, 32, 32) FROM explore, generate_series(1, 2) g WHERE id = 2) AS contrast
FROM explore, generate_series(1, 6) g WHERE id = 1;

-- exact: the order of the rows, groups, filters, parallel plans
SELECT pneumo_mean_image(image ORDER BY id) = pneumo_mean_image(image ORDER BY id DESC) AS mean,
	   pneumo_std_image(image ORDER BY id) = pneumo_std_image(image ORDER BY id DESC) AS std
FROM explore;
SELECT g.label, g.mean = f.mean AS same
FROM (SELECT label, pneumo_mean_image(image, 64, 64) AS mean FROM explore GROUP BY label) g,
	 LATERAL (SELECT pneumo_mean_image(image, 64, 64) FILTER (WHERE label = g.label) FROM explore) f(mean)
ORDER BY 1;
CREATE TABLE serial AS
	SELECT label, pneumo_mean_image(image, 64, 64) AS mean, pneumo_std_image(image, 64, 64) AS std,
		   pneumo_contrast_image(image, id % 3 = 0, 64, 64) AS contrast
	FROM explore GROUP BY label;
ALTER TABLE explore SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT pneumo_mean_image(image), pneumo_std_image(image), pneumo_contrast_image(image, id % 3 = 0) FROM explore;
SELECT label, s.mean = p.mean AS mean, s.std = p.std AS std, s.contrast = p.contrast AS contrast
FROM serial s JOIN (
	SELECT label, pneumo_mean_image(image, 64, 64) AS mean, pneumo_std_image(image, 64, 64) AS std,
		   pneumo_contrast_image(image, id % 3 = 0, 64, 64) AS contrast
	FROM explore GROUP BY label) p USING (label) ORDER BY 1;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
RESET parallel_leader_participation;

-- nothing to draw
SELECT pneumo_mean_image(image), pneumo_std_image(image), pneumo_contrast_image(image, true) FROM explore WHERE id < 0;
SELECT pneumo_mean_image(NULL::bytea), pneumo_contrast_image(image, NULL) FROM explore;
SELECT pneumo_contrast_image(image, true) FROM explore;

-- bad images, bad arguments
SELECT pneumo_mean_image(i) FROM (VALUES ('no picture'::bytea), (pneumo_phantom(1, 'NORMAL', 64))) v(i);
SET pneumo.on_bad_image = 'null';
SELECT pneumo_mean_image(i, 32, 32) = pneumo_mean_image(i, 32, 32) FILTER (WHERE length(i) > 10) AS left_out
FROM (VALUES ('no picture'::bytea), (pneumo_phantom(1, 'NORMAL', 64)), (NULL)) v(i);
SELECT pneumo_mean_image('no picture'::bytea);
RESET pneumo.on_bad_image;
SELECT pneumo_mean_image(image, 0, 10) FROM explore;
SELECT pneumo_std_image(image, 10, 1025) FROM explore;
SELECT pneumo_mean_image(image, 10, NULL) FROM explore;
SELECT pneumo_mean_image(image, 10, id) FROM explore;
SELECT pneumo_contrast_image(image, true, 10, 10, 0) FROM explore;
SELECT pneumo_contrast_image(image, true, 10, 10, NULL) FROM explore;

-- eigenimages: falling, deterministic, whatever the order of the rows
SELECT component, round(explained_variance::numeric, 3) AS explained_variance, width, height
FROM pneumo_eigenimages('explore', '{"n_components": 3, "image_size": [48, 64]}'), LATERAL pneumo_image_info(image);
CREATE TABLE turned AS SELECT * FROM explore ORDER BY id DESC;
SELECT count(*), bool_and(a.image = b.image) AS same
FROM pneumo_eigenimages('explore', '{"n_components": 4, "image_size": [32, 32]}') a
JOIN pneumo_eigenimages('turned', '{"n_components": 4, "image_size": [32, 32]}') b USING (component);
SELECT count(*), round(sum(explained_variance)::numeric, 6) AS explained
FROM pneumo_eigenimages('explore', '{"n_components": 1000, "image_size": [16, 16]}');
SELECT sum(explained_variance) >= 0.5 AS enough, sum(explained_variance) FILTER (WHERE component < last) < 0.5 AS needed
FROM (SELECT *, max(component) OVER () AS last FROM pneumo_eigenimages('explore', '{"n_components": 0.5, "image_size": [16, 16]}')) e;
SELECT count(*) FROM pneumo_eigenimages('explore', '{"class": "NORMAL", "n_components": 100, "image_size": [16, 16]}');
SELECT count(*) FROM pneumo_eigenimages('explore', '{"max_images": 10, "image_size": [16, 16]}');
-- two images have one component, which explains all
SELECT component, round(explained_variance::numeric, 6) AS explained_variance FROM pneumo_eigenimages('explore', '{"max_images": 2, "image_size": [16, 16]}');
SELECT pneumo_eigenimages('explore', '{"class": "COVID"}');
SELECT pneumo_eigenimages('explore', '{"n_components": 0}');
SELECT pneumo_eigenimages('explore', '{"n_components": 2.5}');
SELECT pneumo_eigenimages('explore', '{"max_images": 1001}');
SELECT pneumo_eigenimages('explore', '{"image_column": "picture"}');
SELECT pneumo_eigenimages('explore', '{"max_image": 10}');
SET pneumo.train_memory = '32MB';
SELECT pneumo_eigenimages('explore', '{}');
RESET pneumo.train_memory;
-- a temporary table without labels
CREATE TEMP TABLE bare AS SELECT image FROM explore WHERE id <= 5;
SELECT count(*) FROM pneumo_eigenimages('bare', '{"image_size": [16, 16]}');
SELECT pneumo_eigenimages('bare', '{"class": "NORMAL"}');
INSERT INTO bare VALUES ('no picture'), (NULL);
SELECT pneumo_eigenimages('bare', '{"image_size": [16, 16]}');
SET pneumo.on_bad_image = 'null';
SELECT count(*) FROM pneumo_eigenimages('bare', '{"image_size": [16, 16]}');
RESET pneumo.on_bad_image;

-- the check of a table: all is well
SELECT finding, severity, subject, n, detail
FROM pneumo_check('explore', '{"group_column": "patient", "image_size": [64, 64]}') WHERE finding <> 'shortcut';
-- without shortcuts, phantoms of both classes look alike from outside
SELECT severity, n FROM pneumo_check('explore', '{"group_column": "patient"}') WHERE finding = 'shortcut' AND subject IS NULL;

-- with every trouble there is
CREATE TABLE trouble AS SELECT id, patient, label, image, pneumo_split(patient, 0, 0.2, 0.2) AS side FROM explore;
ALTER TABLE trouble ADD PRIMARY KEY (id);
INSERT INTO trouble
	SELECT 100, 'p1', 'NORMAL', NULL::bytea, 'train' UNION ALL
	SELECT 101, 'p1', 'NORMAL', 'no picture', 'train' UNION ALL
	SELECT 102, 'p1', NULL, pneumo_phantom(102, 'NORMAL', 64), 'train' UNION ALL
	SELECT 103, NULL, 'NORMAL', pneumo_phantom(103, 'NORMAL', 96), 'nowhere' UNION ALL
	SELECT 104, NULL, 'NORMAL', pneumo_phantom(104, 'NORMAL', 96), NULL UNION ALL
	-- the same bytes: a copy, another label, another side
	SELECT 110, patient, label, image, side FROM explore JOIN (SELECT id, side FROM trouble) t USING (id) WHERE id = 1 UNION ALL
	SELECT 111, patient, CASE label WHEN 'NORMAL' THEN 'PNEUMONIA' ELSE 'NORMAL' END, image, 'train' FROM explore WHERE id = 5 UNION ALL
	SELECT 112, 'other', label, image, CASE side WHEN 'train' THEN 'test' ELSE 'train' END
		FROM explore JOIN (SELECT id, side FROM trouble) t USING (id) WHERE id = 7 UNION ALL
	-- nearly the same: compressed again at another size
	SELECT 113, 'another', label, pneumo_mean_image(image, 80, 80), CASE side WHEN 'train' THEN 'test' ELSE 'train' END
		FROM explore JOIN (SELECT id, side FROM trouble) t USING (id) WHERE id = 9 GROUP BY label, side;
UPDATE trouble SET side = CASE side WHEN 'train' THEN 'validation' ELSE 'train' END WHERE id = 11;
SELECT finding, severity, subject, n, detail
FROM pneumo_check('trouble', '{"group_column": "patient", "split_column": "side", "image_size": [64, 64]}')
WHERE finding <> 'shortcut';
SELECT finding, count(*) FROM pneumo_check('trouble', '{"max_subjects": 0, "near_duplicate_images": 0}')
WHERE subject IS NOT NULL AND finding NOT IN ('classes', 'shortcut') GROUP BY 1;
SELECT severity, n, detail FROM pneumo_check('trouble', '{"near_duplicate_images": 10}') WHERE finding = 'near duplicates';

-- a shortcut: the classes differ in size
CREATE TABLE shortcut AS
	SELECT i AS id, i % 2 = 0 AS label, pneumo_phantom(i, 'NORMAL', CASE WHEN i % 2 = 0 THEN 128 ELSE 96 END) AS image
	FROM generate_series(1, 40) i;
SELECT severity, subject, n, split_part(detail, ',', 1) AS detail
FROM pneumo_check('shortcut') WHERE finding = 'shortcut' AND (subject IS NULL OR subject IN ('width', 'height'));

-- one class, no class, no rows; keys that do not exist
SELECT finding, severity, n, detail FROM pneumo_check('bare') WHERE finding IN ('rows', 'unreadable', 'no label', 'classes', 'shortcut');
CREATE TEMP TABLE empty (label boolean, image bytea);
SELECT finding, severity, n FROM pneumo_check('empty');
SELECT finding, severity, detail FROM pneumo_check('explore', '{"label_column": "patient"}') WHERE finding = 'classes' LIMIT 1;
SELECT severity, detail FROM pneumo_check('explore', '{"label_column": "id"}') WHERE finding = 'classes' LIMIT 1;
SELECT pneumo_check('explore', '{"groups": "patient"}');
SELECT pneumo_check('explore', '{"max_subjects": -1}');
SELECT pneumo_check('explore', '[]');
SELECT count(*) > 0 AS checked FROM pneumo_check('explore', NULL);

-- what is read is read with the caller's rights
CREATE ROLE regress_explorer;
SET ROLE regress_explorer;
SELECT count(*) FROM pneumo_check('explore');
SELECT pneumo_eigenimages('explore');
RESET ROLE;
GRANT SELECT (image) ON explore TO regress_explorer;
SET ROLE regress_explorer;
SELECT pneumo_check('explore', '{"key_column": null}');
RESET ROLE;
GRANT SELECT (label) ON explore TO regress_explorer;
ALTER TABLE explore ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON explore USING (id <= 3);
GRANT SELECT ON explore TO regress_explorer;
SET ROLE regress_explorer;
SELECT n FROM pneumo_check('explore') WHERE finding = 'rows';
SELECT count(*) FROM pneumo_eigenimages('explore', '{"image_size": [16, 16]}');
RESET ROLE;
DROP TABLE explore, turned, trouble, shortcut, serial;
DROP ROLE regress_explorer;

-- all that can be cancelled stops soon
CREATE TEMP TABLE many AS SELECT pneumo_phantom(i, 'NORMAL', 64) AS image FROM generate_series(1, 150) i;
SET statement_timeout = '300ms';
SELECT pneumo_eigenimages('many', '{"image_size": [2048, 2048], "max_images": 200}');
RESET statement_timeout;

-- everything has a comment
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
WHERE p.proname ~ '^pneumo_(mean|std|contrast|image_sums|eigen|check)' AND obj_description(p.oid, 'pg_proc') IS NULL;
