-- Back to revision 0004. What waits for a token then waits until it is cancelled: without its steps it would begin anew, and
-- do again what it has done.
drop function dataqueue.current_steps(uuid[]);
drop table dataqueue.signing;
drop table dataqueue.token;
drop table dataqueue.step;
alter table dataqueue.job drop column has_steps;
