# What all pages have, and pages that are a heading and a sentence.

frame-footer = Every sign-in and every access to a record is logged.

problem-stale-title = This page is no longer open
problem-stale = It has expired, was used already, or came from another browser. Go back and begin again.
problem-unavailable-title = Not possible just now
problem-unavailable = Nothing was lost. Try again in a moment.

request-unusable-title = This sign-in request cannot be used
# $reason: what is wrong with it, in English, for whoever wrote the application.
request-unusable = { $reason }
request-no-header = The redirect address cannot be written as a header.
request-over-title = This sign-in request is no longer open
request-over = It has expired, was used already, or was begun in another browser. Go back to the application and begin again.
request-unavailable-title = Signing in is not possible just now
answer-unsigned-title = Something went wrong
answer-unsigned = The answer to the application cannot be signed. Try again in a moment.

form-post-title = Go back
form-post-heading = One step left
form-post-text = Go back to the application at { $destination }.

continue = Continue
cancel = Cancel
back-to-account = Back to your account
your-account = Your account
may-close = You can close this page.
