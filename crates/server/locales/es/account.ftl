# La cuenta: cómo se inicia sesión, dónde hay sesiones abiertas, qué se ha hecho, aplicaciones.

account-title = Su cuenta
account-heading = Sesión iniciada como { $username }
account-roles = Sus roles
account-no-roles = ninguno
account-since = Desde
account-changed = Se ha modificado su forma de iniciar sesión
account-changed-not-you = Si no ha sido usted, avise de inmediato a su administrador.
account-factors = Cómo inicia sesión
account-sessions = Dónde tiene sesiones abiertas
account-accesses = Qué se ha hecho en su nombre
account-approvals = Qué espera su respuesta
account-apps = Aplicaciones con acceso en su nombre

change-line = { $at }: { $change }
change-app-added = se añadió una aplicación de autenticación.
change-app-removed = se eliminó una aplicación de autenticación.
change-recovery-codes = se crearon códigos de recuperación nuevos.
change-recovery-used = se utilizó un código de recuperación para iniciar sesión o para cambiar estos datos.
change-reset = un administrador eliminó sus segundos factores.
change-passkey-added = se añadió una llave de acceso.
change-passkey-removed = se eliminó una llave de acceso.
change-passkey-suspected = se desactivó una llave de acceso: puede existir una copia que no es suya.
change-phone-added = se añadió un teléfono con el que aprobar.
change-phone-removed = se eliminó un teléfono con el que aprobar.
change-password-set = se estableció una contraseña nueva.
change-account-linked = se vinculó una cuenta de un proveedor de identidad que permite iniciar sesión en su nombre.
change-replaced = se sustituyeron sus segundos factores; para ello se utilizaron su contraseña y un enlace enviado a su dirección de correo.

accesses-what = Los accesos a historias clínicas y los inicios de sesión más recientes de los últimos treinta días, tal como constan en el registro. Si algo de lo que figura aquí no lo hizo usted, avise de inmediato a su administrador.
accesses-none = Nada.
accesses-through = { $what }, mediante { $application }
accesses-sign-in = inicio de sesión desde { $address }
accesses-refused = (denegado)
accesses-failed = (fallido)
accesses-more = Hay otros anteriores a estos.

sessions-what = Lo que cierre aquí termina de inmediato, junto con todo lo que las aplicaciones hayan obtenido por esa vía.
sessions-here = Aquí: { $agent }
sessions-this = Sesión iniciada el { $since } { $how ->
    [hardware-key] con una llave física de seguridad
    [passkey] con una llave de acceso
    [password-code] con una contraseña y un código
    [password-phone] con una contraseña y su teléfono
    [password] con una contraseña
    [elsewhere-code] en otro sitio y con un código
    [elsewhere-phone] en otro sitio y con su teléfono
   *[elsewhere] en otro sitio
}.
sessions-other = Sesión iniciada el { $since } { $how ->
    [hardware-key] con una llave física de seguridad
    [passkey] con una llave de acceso
    [password-code] con una contraseña y un código
    [password-phone] con una contraseña y su teléfono
    [password] con una contraseña
    [elsewhere-code] en otro sitio y con un código
    [elsewhere-phone] en otro sitio y con su teléfono
   *[elsewhere] en otro sitio
}; último uso: { $seen }.
sessions-end-this = Cerrar la sesión aquí
sessions-end = Cerrarla
sessions-nowhere = En ningún otro sitio.
sessions-end-others = Cerrar todas las demás
browsers = Navegadores en los que se le conoce
browsers-what = En ellos se puede preguntar a su teléfono después de la contraseña. No inician la sesión de nadie. Olvide los que no sean suyos o ya no lo sean.
browsers-this = Aquí: { $agent }
browsers-seen = Desde el { $since }; la última vez que inició sesión allí con algo más que la contraseña fue el { $seen }.
browsers-forget = Olvidarlo
agent-unknown = Un navegador
agent-on = { $browser } en { $system }
agent-an-iphone = un iPhone
agent-an-ipad = un iPad
agent-a-mac = un Mac

apps-title = Sus aplicaciones
apps-heading = Aplicaciones con acceso
apps-what = Actúan en su nombre ({ $username }). El acceso que retire termina de inmediato y en todas partes.
apps-none = Ninguna.
apps-none-more = Ninguna aplicación tiene acceso en su nombre.
apps-patients = Solo para el paciente { $patients }.
apps-session = Desde { $since }. Tiene acceso hasta que usted cierre la sesión.
apps-keeps = Desde { $since }. Conserva el acceso cuando usted no está presente.
apps-approved = Desde { $since }. Ahora no tiene acceso, pero podría volver a tenerlo sin preguntarle.
apps-end = Retirar el acceso

factors-ways-password = { $username }: con su contraseña.
factors-ways-code = { $username }: con su contraseña y, después, con un código.
factors-ways-passkey = { $username }: con una llave de acceso; o con su contraseña y, después, con una llave de acceso.
factors-ways-all = { $username }: con una llave de acceso; o con su contraseña y, después, con un código.
factors-passkey-bound = Llave de acceso, en un solo dispositivo, desde { $added }.
factors-passkey-eligible = Llave de acceso, en un solo dispositivo y todavía sin copia de seguridad, desde { $added }.
factors-passkey-synced = Llave de acceso, en todos los dispositivos de su cuenta con el fabricante, desde { $added }.
factors-hardware = La guarda un dispositivo que no se la entrega a nadie: { $model }. Lo garantiza { $by }.
factors-hardware-not-known = Consta que la guarda un dispositivo, { $model }, que aquí ya no se acepta. Lo garantizaba { $by }.
factors-app = Aplicación de autenticación, desde { $added }.
factors-used = Último uso: { $used }.
factors-never = Todavía sin usar.
factors-not-since = Sin usar desde entonces.
factors-suspected = Inutilizada desde { $at }: puede existir una copia que no es suya. Elimínela y avise a su administrador.
factors-rename = Cambiar el nombre
factors-rename-it = Cambiar el nombre
factors-quoted = «{ $label }»
factors-none = Sin segundo factor
factors-none-text = Con un segundo factor, a quien averigüe su contraseña no le bastará con ella para iniciar sesión en su nombre.
factors-recovery = Códigos de recuperación
factors-recovery-left = Quedan { $left } de { $made }.
factors-accounts = Cuentas con las que se inicia sesión en su nombre
factors-account = { $provider }, desde { $since }
factors-accounts-not-you = Si alguna no es suya, avise de inmediato a su administrador.
factors-phones = Teléfonos con los que aprobar
factors-phones-link = Sus teléfonos
factors-change = Hacer cambios
factors-confirm = Primero demuestre que es usted: con una llave de acceso, o con su contraseña y un código. Para los cambios que afectan a llaves de acceso se necesita una llave de acceso.
factors-confirmed = Se ha confirmado que es usted. Ahora elija qué desea cambiar.
factors-confirm-passkey = Confirmar con una llave de acceso
factors-password = Su contraseña, una vez más
factors-code = Un código que todavía no haya utilizado
factors-code-recovery = Uno de sus códigos de recuperación.
factors-new-recovery = Crear códigos de recuperación nuevos
factors-remove = Eliminar «{ $label }»
factors-changed = Qué ha cambiado
factors-last = Debe tener un segundo factor: añada otro antes de eliminar el último.
factors-last-passkey = Debe tener una llave de acceso: añada otra antes de eliminar la última.
factors-last-hardware = Debe tener una llave física de seguridad: añada otra antes de eliminar la última.
factors-full = Ya tiene el máximo permitido: elimine uno primero.
factors-by-passkey = Para eso se necesita una llave de acceso suya. Si ya no tiene ninguna, su administrador puede eliminarlas todas.
once-more-wrong = La contraseña o el código no son correctos, o el código ya se utilizó.
once-more-wrong-passkey = Esa llave de acceso no ha servido. Vuelva a intentarlo.
once-more-by-hardware = Para eso se necesita su llave física de seguridad; nada más sirve.
once-more-spent = Lo que presentó fue incorrecto demasiadas veces. Inicie sesión de nuevo.
