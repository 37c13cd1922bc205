-- What a model gets wrong.

CREATE FUNCTION pneumo_failures(
		source regclass, model text, config jsonb DEFAULT '{}',
		OUT key text, OUT truth text, OUT predicted text, OUT probability double precision,
		OUT loss double precision, OUT wrong boolean, OUT neighbour_keys text[],
		OUT neighbour_classes text[], OUT neighbour_distances double precision[])
	RETURNS SETOF record LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100 COST 1000000
	AS 'MODULE_PATHNAME', 'pneumo_failures';
COMMENT ON FUNCTION pneumo_failures(regclass, text, jsonb) IS
	'the rows of one split of a table that a model''s deployed version gets wrong, worst first: key as text '
	'(the primary key or key_column), true and predicted class, probability as pneumo_score gives it, loss '
	'(minus the logarithm of what the true class got), and the nearest training images of the table by '
	'pneumo_embed. Config: split (validation, test or train), limit (100), all_rows (false; true adds the '
	'rows that are right), class (of a model of findings: one of them; by default a row for each image and '
	'finding that is wrong, with the truth and the prediction as "effusion" or "no effusion"), '
	'neighbours (3, at most 50), distance (cosine: 1 minus the cosine; or euclidean), '
	'version (its number within the model), and the data keys of pneumo_train, by default as the version was '
	'trained. A call on the test split counts as a look at it';
