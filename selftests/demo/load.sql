-- SPDX-License-Identifier: MIT
create table t(id integer primary key, k integer, v text);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 100000)
insert into t select x, (x * 7919) % 1009, 'value ' || ((x * 104729) % 99991) from c;
create index tk on t(k);
select count(*), sum(id), min(k), max(k) from t;
select k, count(*), max(v) from t group by k order by count(*) desc, k limit 3;
select count(*) from t a join t b on a.k = b.k and a.id < b.id where a.k < 10;
