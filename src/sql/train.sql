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
	'follows it to its end with a notice per epoch, wait => false starts it when the transaction commits';

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
	'and class, what is left out (images are hashed, not decoded), parameters, bytes of memory and of '
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
	'and both stay when the version is dropped; owner is null if that role was dropped; samples per split and class, what was '
	'left out and why';

GRANT SELECT ON pneumo.progress, pneumo.runs TO PUBLIC;
