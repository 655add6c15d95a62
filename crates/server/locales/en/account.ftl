# The account: how one signs in, where one is signed in, what was done, applications.

account-title = Your account
account-heading = Signed in as { $username }
account-roles = Roles
account-no-roles = none
account-since = Since
account-changed = How you sign in was changed
account-changed-not-you = If it was not you, tell your administrator at once.
account-factors = How you sign in
account-sessions = Where you are signed in
account-accesses = What was done as you
account-approvals = What waits for your answer
account-apps = Applications with access in your name

change-line = { $at }: { $change }
change-app-added = an authenticator application was added.
change-app-removed = an authenticator application was removed.
change-recovery-codes = new recovery codes were made.
change-recovery-used = a recovery code was used to sign in, or to change this.
change-reset = an administrator removed your second factors.
change-passkey-added = a passkey was added.
change-passkey-removed = a passkey was removed.
change-passkey-suspected = a passkey was put out of use: there may be a copy of it that is not yours.
change-phone-added = a phone to approve with was added.
change-phone-removed = a phone to approve with was removed.
change-password-set = a new password was set.
change-account-linked = an account at an identity provider was linked, which signs in as you.
change-replaced = your second factors were replaced, with your password and a link that was sent to your address.

accesses-what = The newest accesses to records and sign-ins of the last thirty days, as the log has them. If something here was not you, tell your administrator at once.
accesses-none = Nothing.
accesses-through = { $what }, through { $application }
accesses-sign-in = sign-in from { $address }
accesses-refused = (refused)
accesses-failed = (failed)
accesses-more = There are others before these.

sessions-what = What you end here ends at once, with everything that applications hold through it.
sessions-here = Here: { $agent }
sessions-this = Signed in { $since } { $how ->
    [hardware-key] with a hardware key
    [passkey] with a passkey
    [password-code] with a password and a code
    [password-phone] with a password and your phone
    [password] with a password
    [elsewhere-code] elsewhere, and with a code
    [elsewhere-phone] elsewhere, and with your phone
   *[elsewhere] elsewhere
}.
sessions-other = Signed in { $since } { $how ->
    [hardware-key] with a hardware key
    [passkey] with a passkey
    [password-code] with a password and a code
    [password-phone] with a password and your phone
    [password] with a password
    [elsewhere-code] elsewhere, and with a code
    [elsewhere-phone] elsewhere, and with your phone
   *[elsewhere] elsewhere
}; last used { $seen }.
sessions-end-this = Sign out here
sessions-end = End it
sessions-nowhere = Nowhere else.
sessions-end-others = End all others
browsers = Browsers that you are known in
browsers-what = In these your phone can be asked after your password. They sign nobody in. Forget those that are not yours, or not any more.
browsers-this = Here: { $agent }
browsers-seen = Since { $since }; you last signed in there with more than a password { $seen }.
browsers-forget = Forget it
agent-unknown = A browser
agent-on = { $browser } on { $system }
agent-an-iphone = an iPhone
agent-an-ipad = an iPad
agent-a-mac = a Mac

apps-title = Your applications
apps-heading = Applications with access
apps-what = They act in your name ({ $username }). What you take away ends at once, everywhere.
apps-none = None.
apps-none-more = No application has access in your name.
apps-patients = Only for the patient { $patients }.
apps-session = Since { $since }. It has access until you sign out.
apps-keeps = Since { $since }. It keeps access while you are away.
apps-approved = Since { $since }. It has no access now, and would not have to ask you for this again.
apps-end = Take access away

factors-ways-password = { $username }: with your password.
factors-ways-code = { $username }: with your password, and then with a code.
factors-ways-passkey = { $username }: with a passkey; or with your password, and then with a passkey.
factors-ways-all = { $username }: with a passkey; or with your password, and then with a code.
factors-passkey-bound = A passkey, on one device, since { $added }.
factors-passkey-eligible = A passkey, on one device, and not backed up yet, since { $added }.
factors-passkey-synced = A passkey, on all devices of your account with its maker, since { $added }.
factors-hardware = It is kept by hardware that gives it to nobody: { $model }. { $by } vouches for that.
factors-hardware-not-known = It says that hardware keeps it, { $model }, which does not count here any more. { $by } vouched for that.
factors-app = An authenticator application, since { $added }.
factors-used = Last used { $used }.
factors-never = Not used yet.
factors-not-since = Not used since.
factors-suspected = Out of use since { $at }: there may be a copy of it that is not yours. Remove it, and tell your administrator.
factors-rename = Rename
factors-rename-it = Rename it
factors-quoted = “{ $label }”
factors-none = No second factor
factors-none-text = With one, a password that somebody learns is not enough to sign in as you.
factors-recovery = Recovery codes
factors-recovery-left = { $left } of { $made } are left.
factors-accounts = Accounts that sign in as you
factors-account = { $provider }, since { $since }
factors-accounts-not-you = If one is not yours, tell your administrator at once.
factors-phones = Phones to approve with
factors-phones-link = Your phones
factors-change = Change it
factors-confirm = First show that it is you: with a passkey, or with your password and a code. What becomes of passkeys takes a passkey.
factors-confirmed = It is you. Now choose what to change.
factors-confirm-passkey = Confirm with a passkey
factors-password = Your password, once more
factors-code = A code that you have not used yet
factors-code-recovery = One of your recovery codes.
factors-new-recovery = Make new recovery codes
factors-remove = Remove “{ $label }”
factors-changed = What was changed
factors-last = You have to have a second factor: add another one before you remove the last.
factors-last-passkey = You have to have a passkey: add another one before you remove the last.
factors-last-hardware = You have to have a hardware key: add another one before you remove the last.
factors-full = You have as many as there can be: remove one first.
factors-by-passkey = That takes a passkey of yours. If you have none any more, your administrator can remove them all.
once-more-wrong = The password or the code is not right, or the code was used already.
once-more-wrong-passkey = That passkey did not do. Try again.
once-more-by-hardware = That takes your hardware key, and nothing else.
once-more-spent = What you showed was wrong too often. Sign in again.
