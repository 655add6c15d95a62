# E-mail to people
mail-enrol-subject = Su cuenta en { $place }
mail-enrol = { $username }, con el enlace que figura abajo establecerá cómo inicia sesión en { $place }. Sirve una sola vez, durante un día. Nadie se lo pedirá nunca.
mail-changed-subject = Se cambió cómo inicia sesión en { $place }
mail-changed = { $username }, el { $at }: { $change }
mail-changed-you = Si fue usted, no tiene que hacer nada. Si no lo fue, avise de inmediato a su administrador. Lo que se ha cambiado últimamente figura en la página de su cuenta, abajo.
mail-recover-subject = Volver a entrar en { $place }
mail-recover-password = { $username }, con el enlace que figura abajo y una llave de acceso o un código establecerá una contraseña nueva para { $place }. Sirve una sola vez, hasta el { $until }. Nadie se lo pedirá nunca.
mail-recover-factors = { $username }, con el enlace que figura abajo y su contraseña sustituirá sus segundos factores en { $place }. Sirve una sola vez, hasta el { $until }. Nadie se lo pedirá nunca.
mail-recover-not-you = Si no lo ha pedido usted, no lo siga y avise a su administrador. No se ha cambiado nada.
