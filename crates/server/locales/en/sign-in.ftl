# Signing in and out, passwords, second factors.

sign-in = Sign in
sign-in-to = to continue to { $application }
sign-in-name = Name
sign-in-password = Password
sign-in-passkey = Sign in with a passkey
sign-in-elsewhere = With another account
sign-in-with = Continue with { $provider }
sign-in-wrong = That name and password do not fit together.
sign-in-busy = Too many people are signing in just now. Try again in a moment.
sign-in-too-often = Too many attempts. Wait a little, then try again; if it goes on, ask your administrator.

passkey-wrong = That passkey did not sign you in. Try again, or sign in another way.
passkey-old-page = The page stood open for too long for a passkey. This is a new one: do it once more.
passkey-not-signed = Nothing was signed: it was cancelled, took too long, or there is no passkey for this place here.
passkey-not-added = Nothing was added: it was cancelled, took too long, or this device could not see that it is you.
passkey-known = There is a passkey of yours here already.
passkey-unsupported = This browser has no passkeys. Take another one, or another device.
passkey-script = Passkeys need JavaScript.

factor-passkey-title = Your passkey
factor-code-title = Your code
factor-new = It was added, { $username }. Show it once, and you go on.
factor-passkey = Almost there, { $username }: now your passkey.
factor-passkey-or-app = Almost there, { $username }: now your passkey, or the code that your authenticator application shows.
factor-passkey-or-recovery = Almost there, { $username }: now your passkey, or one of your recovery codes.
factor-app = Almost there, { $username }: now the code that your authenticator application shows.
factor-recovery = Almost there, { $username }: now one of your recovery codes.
factor-use-passkey = Use your passkey
factor-code = Code
factor-code-app-hint = Six digits. Without your phone: one of your recovery codes in their place.
factor-code-recovery-hint = Twenty digits. Each is good once.
factor-sign-in-code = Sign in with the code
factor-off = Passkeys cannot be used just now. Ask your administrator.
factor-phone = Approve on your phone instead
factor-wrong = That code is not right, or was used already. Wait for the next one that your application shows.
factor-not-enough = Here a code is not enough: use your passkey.

new-passkey = Add a passkey
new-passkey-needed = Signing in as { $username } needs a passkey, and you have none yet. Add one now to go on.
new-factor-needed = Signing in as { $username } needs a second factor, and you have none yet. Add one now to go on.
new-factor-for = For { $username }.
new-passkey-what = A passkey is kept by your phone, your computer or a security key, and signs you in by your finger, your face or its PIN. It works at this place alone, so that nobody can have it from you elsewhere.
new-passkey-placeholder = My laptop
new-passkey-wrong = That passkey could not be added. Try again, or try another device.
new-factor-label = A name for it
new-factor-label-hint = So that you know it again. You can leave it empty.
new-factor-ends = Everything else that you are signed in with ends then.
new-factor-placeholder = My phone

new-app = Add an authenticator application
new-app-for = For { $username }. Any application for one-time codes will do.
new-app-scan = Scan this picture with the application.
new-app-picture = The picture to scan. The same is written below as text.
new-app-key = Or type this key into it:
new-app-type = Type the code that it shows then.
new-app-digits = Six digits
new-app-add = Add it
new-app-instead = Add a passkey instead
new-app-wrong = That is not the code that the application shows for this picture. Its clock has to be right.

recovery = Your recovery codes
recovery-what = For the day when you do not have your phone, { $username }. Each signs you in once, with your password. Print them or write them down, and keep them where nobody else comes: { $once }
recovery-once = they are shown only now.
recovery-done = I have them, go on

ask-phone = Approve on your phone
ask-phone-open = Open { $place } on your phone, { $username }, and type this number there:
ask-phone-until = Until { $until }. Nobody else has to know it.
ask-phone-done = I have approved it
ask-phone-code = Use a code instead
ask-phone-flooded = You were asked too often, or are being asked just now. Wait a little, or use a code.
ask-phone-approved = You have approved it.
ask-phone-over = Nobody approved it in time.
ask-phone-denied = It was denied on your phone.
ask-phone-failed = The number was wrong too often.
ask-phone-used = It was used already.

provider-not-title = Not signed in by { $provider }
provider-not = It did not tell us who you are, or not lately enough. Go back and try again; if it goes on, ask your administrator.
provider-no-time = You are asked to sign in anew, and it does not say when you last did so there. Go back and sign in another way: with a passkey, or with your password here.
provider-nothing-title = Your account at { $provider } opens nothing here
provider-nothing = Your administrator can give you access. Nothing of you was kept but that you came.

enrol = Set your password
enrol-welcome = Welcome, { $username }. At least { $shortest } characters; several unrelated words make a good one.
enrol-new = New password
enrol-again = The same again
enrol-submit = Set password
enrol-differ = The two passwords are not the same.
enrol-done-title = Password set
enrol-done = Your password is set. You can sign in with it now.

password-short = The password needs at least { $shortest } characters.
password-long = The password is too long.
password-guessable = The password is too easy to guess.
password-rows = The password is too easy to guess: Straight rows of keys are easy to guess.
password-keyboard = The password is too easy to guess: Short keyboard patterns are easy to guess.
password-repeats = The password is too easy to guess: Repeats like “aaa” are easy to guess.
password-repeats-longer = The password is too easy to guess: Repeats like “abcabcabc” are only slightly harder to guess than “abc”.
password-common = The password is too easy to guess: This is a very common password.
password-similar = The password is too easy to guess: This is similar to a commonly used password.
password-sequences = The password is too easy to guess: Sequences like abc or 6543 are easy to guess.
password-years = The password is too easy to guess: Recent years are easy to guess.
password-word = The password is too easy to guess: A word by itself is easy to guess.
password-dates = The password is too easy to guess: Dates are often easy to guess.
password-names = The password is too easy to guess: Names and surnames are easy to guess.
password-listed = This password, or what is left of it without digits, is one of those that attackers try first.
password-of-this-place = This password is on the list of those that are not taken here.
password-of-names = The password is made of your name or this service’s.

sign-out = Sign out
sign-out-ask = Sign out?
sign-out-by = { $application } asks that you be signed out here. You are signed in as { $username }; every application that you opened with this sign-in ends with it.
sign-out-sent = You were sent here to sign out. You are signed in as { $username }; every application that you opened with this sign-in ends with it.
sign-out-stay = Stay signed in
sign-out-stayed-title = Not signed out
sign-out-stayed = You are still signed in. You can close this page.
sign-out-done = Signed out
sign-out-told = Your other applications are told.
sign-out-on = Go on
sign-out-unusable = This request to sign out cannot be used
sign-out-malformed = It is malformed.
sign-out-long = It is too long.
sign-out-unregistered = The application is not registered here.
sign-out-another = It names another application than its ID token.
sign-out-address = The address to go to afterwards is not registered for the application.
