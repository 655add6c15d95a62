-- What was polled for and redeemed is kept with its grant, so that whoever takes that back finds it while its tokens are made.
-- Those from before do not say which it was. Their time is over within the hour, and nothing comes of them any more.
DELETE FROM device_authorizations WHERE state = 'redeemed';
DELETE FROM backchannel_requests WHERE state = 'redeemed';
