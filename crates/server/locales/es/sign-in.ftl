# Iniciar y cerrar sesión, contraseñas, segundos factores.

sign-in = Iniciar sesión
sign-in-to = para continuar en { $application }
sign-in-name = Nombre de usuario
sign-in-password = Contraseña
sign-in-passkey = Iniciar sesión con una llave de acceso
sign-in-elsewhere = Con otra cuenta
sign-in-with = Continuar con { $provider }
sign-in-wrong = El nombre de usuario o la contraseña no son correctos.
sign-in-busy = En este momento hay demasiadas personas iniciando sesión. Vuelva a intentarlo dentro de un momento.
sign-in-too-often = Demasiados intentos. Espere un poco y vuelva a intentarlo; si el problema continúa, consulte a su administrador.

passkey-wrong = No se ha podido iniciar sesión con esa llave de acceso. Vuelva a intentarlo o inicie sesión de otra manera.
passkey-old-page = La página ha estado abierta demasiado tiempo para una llave de acceso. Esta es una página nueva: vuelva a hacerlo.
passkey-not-signed = No se ha firmado nada: se canceló, tardó demasiado o aquí no hay ninguna llave de acceso para este sitio.
passkey-not-added = No se ha añadido nada: se canceló, tardó demasiado o este dispositivo no pudo comprobar que se trata de usted.
passkey-known = Aquí ya hay una llave de acceso suya.
passkey-unsupported = Este navegador no admite llaves de acceso. Utilice otro navegador u otro dispositivo.
passkey-script = Las llaves de acceso necesitan JavaScript.

factor-passkey-title = Su llave de acceso
factor-code-title = Su código
factor-new = Se ha añadido, { $username }. Utilícela una vez para continuar.
factor-passkey = Ya casi está, { $username }: ahora, su llave de acceso.
factor-passkey-or-app = Ya casi está, { $username }: ahora, su llave de acceso o el código que muestra su aplicación de autenticación.
factor-passkey-or-recovery = Ya casi está, { $username }: ahora, su llave de acceso o uno de sus códigos de recuperación.
factor-app = Ya casi está, { $username }: ahora, el código que muestra su aplicación de autenticación.
factor-recovery = Ya casi está, { $username }: ahora, uno de sus códigos de recuperación.
factor-use-passkey = Utilizar su llave de acceso
factor-code = Código
factor-code-app-hint = Seis dígitos. Si no tiene su teléfono, escriba en su lugar uno de sus códigos de recuperación.
factor-code-recovery-hint = Veinte dígitos. Cada código sirve una sola vez.
factor-sign-in-code = Iniciar sesión con el código
factor-off = En este momento no se pueden utilizar llaves de acceso. Consulte a su administrador.
factor-phone = Aprobar en su teléfono
factor-wrong = El código no es correcto o ya se utilizó. Espere al siguiente que muestre su aplicación.
factor-not-enough = Aquí no basta con un código: utilice su llave de acceso.

new-passkey = Añadir una llave de acceso
new-passkey-needed = Para iniciar sesión como { $username } se necesita una llave de acceso, y usted todavía no tiene ninguna. Añada una ahora para continuar.
new-factor-needed = Para iniciar sesión como { $username } se necesita un segundo factor, y usted todavía no tiene ninguno. Añada uno ahora para continuar.
new-factor-for = Para { $username }.
new-passkey-what = Una llave de acceso se guarda en su teléfono, en su computadora o en una llave de seguridad, y le permite iniciar sesión con su huella, su rostro o un PIN. Solo funciona en este sitio, de modo que nadie puede robársela desde otro sitio.
new-passkey-placeholder = Mi computadora portátil
new-passkey-wrong = No se ha podido añadir esa llave de acceso. Vuelva a intentarlo o pruebe con otro dispositivo.
new-factor-label = Un nombre para identificarlo
new-factor-label-hint = Para que lo reconozca más adelante. Puede dejarlo en blanco.
new-factor-ends = Al hacerlo se cerrarán todas las demás sesiones que tenga abiertas.
new-factor-placeholder = Mi teléfono

new-app = Añadir una aplicación de autenticación
new-app-for = Para { $username }. Sirve cualquier aplicación de códigos de un solo uso.
new-app-scan = Escanee esta imagen con la aplicación.
new-app-picture = La imagen que debe escanear. Debajo figura lo mismo como texto.
new-app-key = O escriba en ella esta clave:
new-app-type = Escriba el código que muestre después.
new-app-digits = Seis dígitos
new-app-add = Añadirla
new-app-instead = Añadir una llave de acceso en su lugar
new-app-wrong = Ese no es el código que muestra la aplicación para esta imagen. El reloj del dispositivo debe mostrar la hora correcta.

recovery = Sus códigos de recuperación
recovery-what = Para el día en que no tenga su teléfono, { $username }. Cada uno le permite iniciar sesión una sola vez, junto con su contraseña. Imprímalos o anótelos y guárdelos donde nadie más tenga acceso: { $once }
recovery-once = solo se muestran ahora.
recovery-done = Los tengo; continuar

ask-phone = Aprobar en su teléfono
ask-phone-open = Abra { $place } en su teléfono, { $username }, y escriba allí este número:
ask-phone-until = Hasta { $until }. Nadie más tiene por qué conocerlo.
ask-phone-done = Ya lo he aprobado
ask-phone-code = Utilizar un código
ask-phone-flooded = Se le ha preguntado demasiadas veces, o hay una pregunta en curso. Espere un poco o utilice un código.
ask-phone-approved = Usted lo ha aprobado.
ask-phone-over = Nadie lo aprobó a tiempo.
ask-phone-denied = Se denegó en su teléfono.
ask-phone-failed = El número fue incorrecto demasiadas veces.
ask-phone-used = Ya se utilizó.

provider-not-title = { $provider } no ha confirmado su inicio de sesión
provider-not = No nos ha indicado quién es usted, o su confirmación no es lo bastante reciente. Vuelva atrás e inténtelo de nuevo; si el problema continúa, consulte a su administrador.
provider-no-time = Se le pide que inicie sesión de nuevo, y no nos indica cuándo lo hizo allí por última vez. Vuelva atrás e inicie sesión de otra manera: con una llave de acceso, o con su contraseña de aquí.
provider-nothing-title = Su cuenta de { $provider } no da acceso aquí
provider-nothing = Su administrador puede darle acceso. Solo ha quedado constancia de este intento.

enrol = Establecer su contraseña
enrol-welcome = Le damos la bienvenida, { $username }. Se necesitan al menos { $shortest } caracteres; varias palabras sin relación entre sí forman una buena contraseña.
enrol-new = Contraseña nueva
enrol-again = Repita la contraseña
enrol-submit = Establecer contraseña
enrol-differ = Las dos contraseñas no son iguales.
enrol-done-title = Contraseña establecida
enrol-done = Su contraseña ha quedado establecida. Ya puede iniciar sesión con ella.

password-short = La contraseña debe tener al menos { $shortest } caracteres.
password-long = La contraseña es demasiado larga.
password-guessable = La contraseña es demasiado fácil de adivinar.
password-rows = La contraseña es demasiado fácil de adivinar: las filas de teclas seguidas se adivinan con facilidad.
password-keyboard = La contraseña es demasiado fácil de adivinar: los recorridos cortos por el teclado se adivinan con facilidad.
password-repeats = La contraseña es demasiado fácil de adivinar: las repeticiones como «aaa» se adivinan con facilidad.
password-repeats-longer = La contraseña es demasiado fácil de adivinar: las repeticiones como «abcabcabc» son apenas más difíciles de adivinar que «abc».
password-common = La contraseña es demasiado fácil de adivinar: es una contraseña muy común.
password-similar = La contraseña es demasiado fácil de adivinar: se parece a una contraseña muy utilizada.
password-sequences = La contraseña es demasiado fácil de adivinar: las secuencias como abc o 6543 se adivinan con facilidad.
password-years = La contraseña es demasiado fácil de adivinar: los años recientes se adivinan con facilidad.
password-word = La contraseña es demasiado fácil de adivinar: una sola palabra se adivina con facilidad.
password-dates = La contraseña es demasiado fácil de adivinar: las fechas suelen adivinarse con facilidad.
password-names = La contraseña es demasiado fácil de adivinar: los nombres y apellidos se adivinan con facilidad.
password-listed = Esta contraseña, o lo que queda de ella sin las cifras, es una de las que primero prueban los atacantes.
password-of-this-place = Esta contraseña figura en la lista de las que no se admiten aquí.
password-of-names = La contraseña está formada por su nombre o el de este servicio.

sign-out = Cerrar sesión
sign-out-ask = ¿Cerrar sesión?
sign-out-by = { $application } solicita que se cierre su sesión aquí. Ha iniciado sesión como { $username }; también terminará la sesión en todas las aplicaciones que haya abierto con ella.
sign-out-sent = Se le ha enviado aquí para cerrar la sesión. Ha iniciado sesión como { $username }; también terminará la sesión en todas las aplicaciones que haya abierto con ella.
sign-out-stay = Mantener la sesión
sign-out-stayed-title = La sesión sigue abierta
sign-out-stayed = Su sesión sigue abierta. Puede cerrar esta página.
sign-out-done = Sesión cerrada
sign-out-told = Se avisa a sus otras aplicaciones.
sign-out-on = Continuar
sign-out-unusable = Esta solicitud de cierre de sesión no es válida
sign-out-malformed = Está mal formada.
sign-out-long = Es demasiado larga.
sign-out-unregistered = La aplicación no está registrada aquí.
sign-out-another = Nombra una aplicación distinta de la de su token de identidad.
sign-out-address = La dirección a la que se debe ir después no está registrada para la aplicación.
