# Lo que tienen todas las páginas, y las páginas que son un título y una frase.

frame-footer = Cada inicio de sesión y cada acceso a una historia clínica quedan registrados.

problem-stale-title = Esta página ya no está disponible
problem-stale = Ha caducado, ya se utilizó o procede de otro navegador. Vuelva atrás y empiece de nuevo.
problem-unavailable-title = No es posible en este momento
problem-unavailable = No se ha perdido nada. Vuelva a intentarlo dentro de un momento.

request-unusable-title = Esta solicitud de inicio de sesión no es válida
request-unusable = El motivo, en inglés: { $reason }
request-no-header = La dirección de retorno no se puede escribir en una cabecera.
request-over-title = Esta solicitud de inicio de sesión ya no está abierta
request-over = Ha caducado, ya se utilizó o se inició en otro navegador. Vuelva a la aplicación y empiece de nuevo.
request-unavailable-title = No es posible iniciar sesión en este momento
answer-unsigned-title = Se ha producido un error
answer-unsigned = No se puede firmar la respuesta a la aplicación. Vuelva a intentarlo dentro de un momento.

form-post-title = Volver
form-post-heading = Falta un paso
form-post-text = Vuelva a la aplicación en { $destination }.

continue = Continuar
cancel = Cancelar
back-to-account = Volver a su cuenta
your-account = Su cuenta
may-close = Puede cerrar esta página.
