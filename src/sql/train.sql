-- Training: the functions that start, follow and end runs.

CREATE FUNCTION pneumo_split(
		key text, split_seed integer, validation_split double precision, test_split double precision)
	RETURNS text LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_split_text';
COMMENT ON FUNCTION pneumo_split(text, integer, double precision, double precision) IS
	'the split (train, validation or test) that training assigns a group key to, by the first 53 bits of '
	'SHA-256(split_seed '':'' key)';

CREATE FUNCTION pneumo_split(
		key bytea, split_seed integer, validation_split double precision, test_split double precision)
	RETURNS text LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_split_bytea';
COMMENT ON FUNCTION pneumo_split(bytea, integer, double precision, double precision) IS
	'the same for a key of bytes; the key of a row without group is sha256(image)';

CREATE FUNCTION pneumo_train(source regclass, config jsonb DEFAULT '{}', wait boolean DEFAULT true)
	RETURNS bigint LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_train';
COMMENT ON FUNCTION pneumo_train(regclass, jsonb, boolean) IS
	'trains a network on the images of a table in a background worker; returns the run''s id. wait => true '
	'follows it to its end with a notice per epoch, wait => false starts it when the transaction commits. '
	'Labels that are arrays, or several boolean columns (config key label_columns), train a model of findings, '
	'of which an image can have any number (docs/findings.md)';

CREATE FUNCTION pneumo_resume(run bigint, wait boolean DEFAULT true)
	RETURNS bigint LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_resume';
COMMENT ON FUNCTION pneumo_resume(bigint, boolean) IS
	'continues a cancelled, failed or interrupted run from its checkpoint, to the same weights as without '
	'the break';

REVOKE EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean), pneumo_resume(bigint, boolean) FROM PUBLIC;

CREATE FUNCTION pneumo_plan(
		source regclass, config jsonb DEFAULT '{}',
		OUT model text, OUT classes text[], OUT rows jsonb, OUT groups jsonb, OUT left_out jsonb,
		OUT layers integer, OUT parameters bigint, OUT image_size integer[], OUT batch_size integer,
		OUT steps_per_epoch bigint, OUT epochs integer, OUT threads integer,
		OUT memory bigint, OUT disk bigint, OUT seconds_per_epoch double precision, OUT warnings text[])
	RETURNS record LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_plan';
COMMENT ON FUNCTION pneumo_plan(regclass, jsonb) IS
	'what pneumo_train would do, without doing it: rows and groups (NULL without a group column) per split '
	'and class (of findings: present, absent and unknown), what is left out (images are hashed, not '
	'decoded), parameters, bytes of memory and of '
	'temporary disk, estimated seconds of an epoch, warnings';

CREATE FUNCTION pneumo_wait(run bigint)
	RETURNS text LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_wait';
COMMENT ON FUNCTION pneumo_wait(bigint) IS
	'waits until a run has ended; returns its state: succeeded, failed, cancelled or interrupted';

CREATE PROCEDURE pneumo_watch(run bigint)
	LANGUAGE C AS 'MODULE_PATHNAME', 'pneumo_watch';
COMMENT ON PROCEDURE pneumo_watch(bigint) IS
	'prints a notice per epoch of a run until it has ended, holding no snapshot and no lock meanwhile';

CREATE FUNCTION pneumo_watch_text(run bigint)
	RETURNS text LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_watch_text';
COMMENT ON FUNCTION pneumo_watch_text(bigint) IS
	'a run as a drawing for a terminal of 80 columns, to be repeated with \watch: state, epochs, time left, '
	'loss curves, figures. For the owner''s role and pg_monitor. Error: there is no such run';

CREATE PROCEDURE pneumo_sweep(source regclass, config jsonb, grid jsonb)
	LANGUAGE C AS 'MODULE_PATHNAME', 'pneumo_sweep';
COMMENT ON PROCEDURE pneumo_sweep(regclass, jsonb, jsonb) IS
	'trains a version for each combination of a grid, one after the other: an object of arrays, '
	'{"learning_rate": [0.001, 0.01], "batch_size": [16, 32]}, stands for all combinations, an array of '
	'objects for its elements; each is merged over config. At most 1000. "deploy" is false unless config '
	'or grid has it. All configs are checked first. A run that fails is a warning; combinations that have '
	'succeeded on the table are left out. Errors: a NULL, a transaction block, a grid of another form';

REVOKE EXECUTE ON PROCEDURE pneumo_sweep(regclass, jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION pneumo_cancel(run bigint)
	RETURNS boolean LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_cancel';
COMMENT ON FUNCTION pneumo_cancel(bigint) IS
	'asks a run to stop; its best epoch is stored as a version that is not deployed, and pneumo_resume can '
	'continue it. For the owner''s role and pg_signal_backend';

CREATE FUNCTION pneumo_forget(run bigint)
	RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_forget';
COMMENT ON FUNCTION pneumo_forget(bigint) IS
	'removes a run that has ended, its history and its checkpoint; its version stays';

CREATE FUNCTION pneumo_progress_entries(
		OUT run bigint, OUT owner text, OUT pid integer, OUT phase text, OUT epoch integer,
		OUT epochs integer, OUT batch bigint, OUT batches bigint, OUT loss double precision,
		OUT images_per_second double precision, OUT time_left double precision,
		OUT started timestamptz)
	RETURNS SETOF record LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 2
	AS 'MODULE_PATHNAME', 'pneumo_progress_entries';
COMMENT ON FUNCTION pneumo_progress_entries() IS
	'what pneumo.progress shows: running trainings of this database, from shared memory; time_left in seconds';

CREATE VIEW pneumo.progress WITH (security_barrier) AS
	SELECT p.run, p.owner, p.pid, p.phase, p.epoch, p.epochs, p.batch, p.batches, p.loss,
		   p.images_per_second,
		   pg_catalog.make_interval(secs => pg_catalog.ceil(p.time_left)) AS time_left,
		   p.started
	FROM @extschema@.pneumo_progress_entries() p;
COMMENT ON VIEW pneumo.progress IS
	'live trainings of the current user''s roles (pg_monitor sees all); batch counts rows while images are '
	'read, time_left is an upper limit';
CREATE VIEW pneumo.runs WITH (security_barrier) AS
	SELECT r.id AS run, r.model, r.version_number AS version, r.version AS version_id,
		   (SELECT o.rolname FROM pg_catalog.pg_roles o WHERE o.oid OPERATOR(pg_catalog.=) r.owner) AS owner,
		   r.source,
		   @extschema@.pneumo_run_state(r.id, r.state) AS state,
		   r.config, r.samples, r.left_out, r.created, r.started, r.finished,
		   r.epoch, r.epochs, r.best_epoch, r.metrics, r.sqlstate, r.error, r.build
	FROM pneumo.run r
	WHERE pg_catalog.pg_has_role('pg_monitor', 'USAGE')
	   OR pg_catalog.pg_has_role(r.owner::pg_catalog.oid, 'USAGE')
	UNION ALL
	-- The row of a queued run comes with its caller's commit.
	SELECT p.run, NULL, NULL, NULL, p.owner::pg_catalog.name, NULL, p.phase,
		   NULL, NULL, NULL, p.started, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
	FROM @extschema@.pneumo_progress_entries() p
	WHERE p.phase OPERATOR(pg_catalog.=) 'queued'
	  AND NOT EXISTS (SELECT FROM pneumo.run r WHERE r.id OPERATOR(pg_catalog.=) p.run);
COMMENT ON VIEW pneumo.runs IS
	'trainings of the current user''s roles (pg_monitor sees all): queued, running, succeeded, failed, '
	'cancelled or interrupted; version is the number within the model, version_id unique in the database, '
	'and both stay when the version is dropped; owner is null if that role was dropped; samples per split '
	'and class, what was left out and why';

-- A key of the config differs between runs of a source if some run has another value
-- than the first one, or lacks the key.
CREATE VIEW pneumo.leaderboard WITH (security_barrier) AS
	WITH listed AS MATERIALIZED (
		SELECT r.id, r.model, r.version, r.version_number, r.source, r.config, r.metrics, r.best_epoch, r.epochs,
			   r.started, r.finished, v.sha256, v.model AS model_id,
			   pg_catalog.min(r.id) OVER (PARTITION BY r.source) AS first,
			   pg_catalog.count(*) OVER (PARTITION BY r.source) AS runs
		FROM pneumo.run r
		JOIN pneumo.version v ON v.id OPERATOR(pg_catalog.=) r.version
		WHERE r.state OPERATOR(pg_catalog.<>) ALL (ARRAY['queued', 'running'])
		  AND (pg_catalog.pg_has_role('pg_monitor', 'USAGE')
			   OR pg_catalog.pg_has_role(r.owner::pg_catalog.oid, 'USAGE'))),
	differing AS MATERIALIZED (
		SELECT d.source, pg_catalog.array_agg(d.key) AS keys
		FROM (SELECT l.source, k.key
			  FROM listed l
			  JOIN listed f ON f.source OPERATOR(pg_catalog.=) l.source
						   AND f.id OPERATOR(pg_catalog.=) f.first
			  CROSS JOIN LATERAL pg_catalog.jsonb_each(l.config) k
			  WHERE k.key OPERATOR(pg_catalog.<>) 'name'
			  GROUP BY l.source, k.key
			  HAVING pg_catalog.count(*) OPERATOR(pg_catalog.<) pg_catalog.max(l.runs)
				  OR pg_catalog.bool_or(k.value OPERATOR(pg_catalog.<>)
						(f.config OPERATOR(pg_catalog.->) k.key))) d
		GROUP BY d.source),
	looks AS MATERIALIZED (
		SELECT k.sha256, pg_catalog.count(*) AS n FROM pneumo.look k GROUP BY k.sha256),
	allowed AS MATERIALIZED (
		SELECT m.id,
			   (SELECT d.version FROM pneumo.deployment d
				WHERE d.model OPERATOR(pg_catalog.=) m.id ORDER BY d.id DESC LIMIT 1) AS deployed
		FROM pneumo.model m
		WHERE @extschema@.pneumo_has_privilege(m.name, 'any'))
	SELECT l.source,
		   pg_catalog.rank() OVER (
				PARTITION BY l.source
				ORDER BY (l.metrics OPERATOR(pg_catalog.->>) 'log_loss')::pg_catalog.float8 NULLS LAST) AS rank,
		   l.id AS run, l.model, l.version_number AS version, l.version AS version_id,
		   CASE WHEN a.id IS NOT NULL
				THEN COALESCE(l.version OPERATOR(pg_catalog.=) a.deployed, false) END AS deployed,
		   COALESCE((SELECT pg_catalog.jsonb_object_agg(k.key, k.value)
					 FROM pg_catalog.jsonb_each(l.config) k
					 WHERE k.key OPERATOR(pg_catalog.=) ANY (d.keys)), '{}') AS changed,
		   l.best_epoch, l.epochs,
		   (l.metrics OPERATOR(pg_catalog.->>) 'images')::pg_catalog.int8 AS images,
		   (l.metrics OPERATOR(pg_catalog.->>) 'auc')::pg_catalog.float8 AS auc,
		   (l.metrics OPERATOR(pg_catalog.->>) 'auc_low')::pg_catalog.float8 AS auc_low,
		   (l.metrics OPERATOR(pg_catalog.->>) 'auc_high')::pg_catalog.float8 AS auc_high,
		   (l.metrics OPERATOR(pg_catalog.->>) 'accuracy')::pg_catalog.float8 AS accuracy,
		   (l.metrics OPERATOR(pg_catalog.->>) 'accuracy_low')::pg_catalog.float8 AS accuracy_low,
		   (l.metrics OPERATOR(pg_catalog.->>) 'accuracy_high')::pg_catalog.float8 AS accuracy_high,
		   (l.metrics OPERATOR(pg_catalog.->>) 'sensitivity')::pg_catalog.float8 AS sensitivity,
		   (l.metrics OPERATOR(pg_catalog.->>) 'sensitivity_low')::pg_catalog.float8 AS sensitivity_low,
		   (l.metrics OPERATOR(pg_catalog.->>) 'sensitivity_high')::pg_catalog.float8 AS sensitivity_high,
		   (l.metrics OPERATOR(pg_catalog.->>) 'specificity')::pg_catalog.float8 AS specificity,
		   (l.metrics OPERATOR(pg_catalog.->>) 'specificity_low')::pg_catalog.float8 AS specificity_low,
		   (l.metrics OPERATOR(pg_catalog.->>) 'specificity_high')::pg_catalog.float8 AS specificity_high,
		   (l.metrics OPERATOR(pg_catalog.->>) 'log_loss')::pg_catalog.float8 AS log_loss,
		   l.finished OPERATOR(pg_catalog.-) l.started AS duration, l.finished,
		   CASE WHEN a.id IS NOT NULL THEN COALESCE(k.n, 0) END AS test_looks
	FROM listed l
	LEFT JOIN differing d ON d.source OPERATOR(pg_catalog.=) l.source
	LEFT JOIN allowed a ON a.id OPERATOR(pg_catalog.=) l.model_id
	LEFT JOIN looks k ON k.sha256 OPERATOR(pg_catalog.=) l.sha256;
COMMENT ON VIEW pneumo.leaderboard IS
	'the runs in pneumo.runs whose version is there, ranked within their source by validation log loss; '
	'changed has what differs in the configs of the source''s runs. All figures are those of the validation '
	'split, with 95 % limits by group. They chose the epoch, and the best of many runs looks better than it '
	'is: judge the one that was chosen on the test split. deployed and test_looks are null without a '
	'privilege on the model';

GRANT SELECT ON pneumo.progress, pneumo.runs, pneumo.leaderboard TO PUBLIC;
