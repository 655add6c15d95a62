# Whose record and which visit, whether an application may, devices, emergency access.

patient = Choose a patient
patient-for = { $application } will see the record of this one patient.
patient-list = Patients in your care
patient-id = Patient ID
patient-none = No patient is in your care, so there is no record to choose. Your administrator can add patients to your panel.
patient-wrong = That is not a patient whose record you may see.

encounter = Choose a visit
encounter-for = { $application } asks which visit of the patient { $patient } this is about.
encounter-list = The latest visits
encounter-empty = There is no visit of this patient that you may see.
encounter-skip = Continue without a visit
encounter-wrong = That is not a visit of this patient.

consent = Allow access
consent-ask = Allow access?
consent-for = { $application } asks for this, in your name ({ $username }):
consent-unknown = Nobody here has looked at this application. What is known of it is what { $somebody } says.
consent-unknown-itself = the application itself
consent-purpose = The purpose is: { $purpose }.
consent-patient = Only for the patient { $patient }.
consent-encounter = For the visit { $encounter }.
consent-device = This is for a device at the network address { $address }, which asked at { $time }. Allow it only if it is yours and you began this there yourself: nobody else has a reason to send you a code.
consent-destination = You will be sent back to { $place }.
consent-all = All that is asked for
consent-only = Only what is marked here:
consent-allow = Allow
consent-deny = Do not allow
consent-observations = Measurements and results
consent-conditions = Problems and diagnoses
consent-entries = { $type } entries
consent-denied-title = Not allowed
consent-denied = The device gets nothing. You can close this page.
consent-allowed-title = Allowed
consent-allowed = Your device goes on by itself in a moment. You can close this page.

wish-identity = Know who you are
wish-email = Know your e-mail address
wish-own-entry = Know which entry in the records is yours
wish-offline = Keep this access while you are away
wish-online = Keep this access while you are signed in
wish-apps = See which applications have access in your name, and take it away
wish-other = Use “{ $scope }”
wish-emergency = See the whole record of the patient { $patient } in an emergency
wish-patient = { $verbs } everything in the record of the chosen patient
wish-user = { $verbs } everything in the records that you may see
wish-system = { $verbs } everything in all records
wish-patient-type = { $verbs } { $type } entries in the record of the chosen patient
wish-user-type = { $verbs } { $type } entries in the records that you may see
wish-system-type = { $verbs } { $type } entries in all records
wish-only = { $wish }, only { $constraints }
wish-detail = { $verbs } { $types } entries of { $count ->
    [one] the patient
   *[other] the patients
} { $patients }
wish-of-kind = of the kind { $values }
wish-where = where { $name } is { $values }
wish-quoted = “{ $value }”
wish-see = see
wish-search = search
wish-add = add
wish-change = change
wish-delete = delete
list-and = { $first } and { $last }
list-or = { $first } or { $last }

kind-problem-list-item = Problems on the problem list
kind-encounter-diagnosis = Diagnoses made at visits
kind-health-concern = Health concerns
kind-laboratory = Laboratory results
kind-vital-signs = Vital signs, such as weight and blood pressure
kind-social-history = Habits and way of life, such as smoking
kind-survey = Answers to questionnaires
kind-sdoh = Circumstances of life, such as housing and food
kind-clinical-test = Other clinical tests

purpose-etreat = emergency treatment
purpose-btg = reading past the usual limits (break the glass)
purpose-treat = treatment
purpose-coc = coordination of care
purpose-clintrch = research in a clinical trial
purpose-hpaymt = payment
purpose-coverage = questions of coverage
purpose-eligdtrm = finding out who is eligible
purpose-remitadv = telling of payments
purpose-hoperat = the running of the practice
purpose-caremgt = care management
purpose-hqualimp = improving quality
purpose-hcompl = checking compliance
purpose-hlegal = legal matters
purpose-hsysadmin = administering systems
purpose-patadmin = administration for patients
purpose-patsfty = the safety of patients
purpose-recordmgt = managing records
purpose-train = training
purpose-gov = government
purpose-hmarkt = marketing
purpose-hresch = research
purpose-patrqt = the patient, who asked for it
purpose-famrqt = family, who asked for it
purpose-pwatrny = somebody with power of attorney
purpose-pubhlth = public health
purpose-disaster = a disaster
purpose-threat = a threat to the public

device = Connect a device
device-text = Type the code that your device shows. Do so only if you began this on the device yourself.
device-code = Code
device-wrong = That code is not open. It may have expired or been typed before: begin again on the device.
device-too-often = Too many codes that are not open. Wait a little, then try again.

emergency = Emergency access
emergency-for = { $application } asks for emergency access to the record of the patient { $patient }, in your name ({ $username }).
emergency-contact = Whom to turn to: { $contact }
emergency-back = Go back
emergency-what = What happens
emergency-recorded = Your name, your reason, the time and every entry that you see are recorded, and nobody can remove that.
emergency-told = The privacy officer is told at once, and reviews it.
emergency-reviewed = The privacy officer reviews it.
emergency-limits = You see this one patient’s record for at most { $minutes } { $minutes ->
    [one] minute
   *[other] minutes
}. You can change nothing in it.
emergency-why = Why do you need it?
emergency-words = In your own words
emergency-words-hint = The privacy officer reads this. { $longest } characters at most.
emergency-password = Your password, once more
emergency-confirm = Show once more that it is you.
emergency-confirm-password = Show once more that it is you: with a passkey, or with your password.
emergency-confirm-code = Show once more that it is you: with a passkey, or with your password and a code.
emergency-confirmed = It is you. Now open the record.
emergency-by-passkey = Here a password is not enough: confirm with your passkey.
emergency-nothing = You have neither a password here nor a passkey, so that nothing can show once more that it is you. Your administrator can give you a password.
emergency-nothing-enough = A password alone does not let you do this, and you have neither a passkey nor an authenticator application here. Add one to your account first, under “How you sign in”.
emergency-open = Open this record
emergency-leave = Do not open it
emergency-no-reason = Say why you need it: choose a reason, and write a few words.
emergency-wrong = That password is not right.
emergency-spent = What you showed was wrong too often. Sign in again, then ask your application again.
emergency-not-role = Emergency access is not for your role.
emergency-blocked-many = You cannot open a record in this way now: your earlier emergency access to { $patients } { $patients ->
    [one] patient
   *[other] patients
} has not been reviewed yet. A privacy officer has to look first.
emergency-blocked-old = You cannot open a record in this way now: an earlier use of emergency access has waited too long for its review. A privacy officer has to look first.

reason-immediate-danger = Life or health are in danger now
reason-emergency-visit = I treat the patient in an emergency
reason-covering = I stand in for somebody who cares for the patient
reason-consult = Somebody who treats the patient asked me for help
reason-new-patient = The patient has just come to me and is not in my list yet
reason-other = Another reason

emergency-own-none = Emergency access is for those who treat patients. Your roles ({ $roles }) do not have it.
emergency-own-what = In an emergency you can open the record of a patient who is not in your care: that one record, to read, for at most { $minutes } { $minutes ->
    [one] minute
   *[other] minutes
}.
emergency-own-many = Not now: your earlier emergency access to { $patients } { $patients ->
    [one] patient
   *[other] patients
} has not been reviewed yet. A privacy officer has to look first.
emergency-own-old = Not now: an earlier use of emergency access has waited too long for its review. A privacy officer has to look first.
emergency-own-how = How to ask for it
emergency-own-application = In your application, if it offers emergency access: it sends you here, you say why, and show once more that it is you.
emergency-own-terminal = In a terminal: { $command }
emergency-own-recorded = Your name, your reason and every entry that you see are recorded.
emergency-own-open = Open: patient { $patient }
emergency-own-until = Until { $until }.
emergency-own-end = End it now
emergency-own-reviews = Uses of emergency access, and their review
