# E-mail to people
mail-enrol-subject = Your account at { $place }
mail-enrol = { $username }, by the link below you set how you sign in to { $place }. It is good once, for a day. Nobody will ever ask you for it.
mail-changed-subject = How you sign in to { $place } was changed
mail-changed = { $username }, on { $at }: { $change }
mail-changed-you = If it was you, there is nothing to do. If it was not, tell your administrator at once. What was changed of late stands on your account page, below.
mail-recover-subject = Getting in again at { $place }
mail-recover-password = { $username }, by the link below and a passkey or a code you set a new password for { $place }. It is good once, until { $until }. Nobody will ever ask you for it.
mail-recover-factors = { $username }, by the link below and your password you replace your second factors at { $place }. It is good once, until { $until }. Nobody will ever ask you for it.
mail-recover-not-you = If you did not ask for it, do not follow it, and tell your administrator. Nothing was changed.
