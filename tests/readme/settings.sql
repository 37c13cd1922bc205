-- The server's settings under which the pages' examples run (make check-readme): on the reference
-- kernels and without BLAS, so that every machine prints the same figures.
LOAD 'pneumo';
ALTER SYSTEM SET pneumo.simd = 'reference';
ALTER SYSTEM SET pneumo.blas_library = 'none';
ALTER SYSTEM SET pneumo.train_threads = 2;
ALTER SYSTEM SET client_min_messages = 'warning';
SELECT pg_reload_conf();
