create or replace aggregate analytics.histogram(integer) (
  sfunc = pg_catalog.array_append, stype = integer[], initcond = '{}',
  finalfunc = analytics.histogram_of, combinefunc = pg_catalog.array_cat, parallel = safe
);

comment on aggregate analytics.histogram(integer) is 'The histogram of whole seconds: distinct seconds in ascending order, each followed by how often it occurs. Nulls are left out.';
