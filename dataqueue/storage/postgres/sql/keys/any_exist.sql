select exists (select from dataqueue.api_key) as exist;
