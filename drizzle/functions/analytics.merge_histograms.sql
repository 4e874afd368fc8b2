create or replace aggregate analytics.merge_histograms(integer[]) (
  sfunc = analytics.append_histogram, stype = integer[], initcond = '{}',
  finalfunc = analytics.compact_histogram, combinefunc = analytics.append_histogram, parallel = safe
);

comment on aggregate analytics.merge_histograms(integer[]) is 'One histogram of all values that are in several, such as the hours of a day, the days of a month or the pipelines of a team.';
