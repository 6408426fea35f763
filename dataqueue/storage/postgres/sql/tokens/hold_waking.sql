-- Lock a token if not all who wait for it have heard that it ended. Nothing: they have, or somebody else tells them now.
select id from dataqueue.token where id = :id and waking for update skip locked;
