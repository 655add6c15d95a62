# De quién es la historia clínica y de qué visita se trata, si una aplicación tiene permiso, dispositivos, acceso de emergencia.

patient = Elegir paciente
patient-for = { $application } verá la historia clínica de este paciente.
patient-list = Pacientes a su cargo
patient-id = Identificador del paciente
patient-none = No tiene ningún paciente a su cargo, por lo que no hay ninguna historia clínica que elegir. Su administrador puede asignarle pacientes.
patient-wrong = Ese no es un paciente cuya historia clínica pueda ver usted.

encounter = Elegir visita
encounter-for = { $application } pregunta de qué visita del paciente { $patient } se trata.
encounter-list = Las visitas más recientes
encounter-empty = No hay ninguna visita de este paciente que usted pueda ver.
encounter-skip = Continuar sin visita
encounter-wrong = Esa no es una visita de este paciente.

consent = Permitir el acceso
consent-ask = ¿Permitir el acceso?
consent-for = { $application } solicita lo siguiente en su nombre ({ $username }):
consent-unknown = Nadie de este centro ha revisado esta aplicación. Lo que se sabe de ella es lo que dice { $somebody }.
consent-unknown-itself = la propia aplicación
consent-purpose = La finalidad es: { $purpose }.
consent-patient = Solo para el paciente { $patient }.
consent-encounter = Para la visita { $encounter }.
consent-device = Es para un dispositivo en la dirección de red { $address }, que lo solicitó el { $time }. Permítalo solo si es suyo y si fue usted quien lo inició allí: nadie más tiene motivos para enviarle un código.
consent-destination = A continuación volverá a { $place }.
consent-all = Todo lo que se solicita
consent-only = Solo lo que se marque aquí:
consent-allow = Permitir
consent-deny = No permitir
consent-observations = Mediciones y resultados
consent-conditions = Problemas de salud y diagnósticos
consent-entries = Entradas de { $type }
consent-denied-title = No permitido
consent-denied = El dispositivo no recibe nada. Puede cerrar esta página.
consent-allowed-title = Permitido
consent-allowed = Su dispositivo continuará por sí solo en un momento. Puede cerrar esta página.

wish-identity = Saber quién es usted
wish-email = Conocer su dirección de correo electrónico
wish-own-entry = Saber qué ficha de los registros es la suya
wish-offline = Conservar este acceso aunque usted no esté conectado
wish-online = Conservar este acceso mientras su sesión esté abierta
wish-apps = Ver qué aplicaciones tienen acceso en su nombre y retirárselo
wish-other = Utilizar «{ $scope }»
wish-emergency = Ver la historia clínica completa del paciente { $patient } en una emergencia
wish-patient = { $verbs } cualquier dato de la historia clínica del paciente elegido
wish-user = { $verbs } cualquier dato de las historias clínicas que usted puede ver
wish-system = { $verbs } cualquier dato de todas las historias clínicas
wish-patient-type = { $verbs } entradas de { $type } en la historia clínica del paciente elegido
wish-user-type = { $verbs } entradas de { $type } en las historias clínicas que usted puede ver
wish-system-type = { $verbs } entradas de { $type } en todas las historias clínicas
wish-only = { $wish }, solo { $constraints }
wish-detail = { $verbs } entradas de { $types } { $count ->
    [one] del paciente
   *[other] de los pacientes
} { $patients }
wish-of-kind = de la clase { $values }
wish-where = donde { $name } sea { $values }
wish-quoted = «{ $value }»
wish-see = ver
wish-search = buscar
wish-add = añadir
wish-change = modificar
wish-delete = eliminar
list-and = { $first } y { $last }
list-or = { $first } o { $last }

kind-problem-list-item = Problemas de la lista de problemas de salud
kind-encounter-diagnosis = Diagnósticos de las visitas
kind-health-concern = Preocupaciones de salud
kind-laboratory = Resultados de laboratorio
kind-vital-signs = Signos vitales, como el peso y la presión arterial
kind-social-history = Hábitos y estilo de vida, como el tabaquismo
kind-survey = Respuestas a cuestionarios
kind-sdoh = Circunstancias de vida, como la vivienda y la alimentación
kind-clinical-test = Otras pruebas clínicas

purpose-etreat = tratamiento de urgencia
purpose-btg = consulta más allá de los límites habituales («break the glass»)
purpose-treat = tratamiento
purpose-coc = coordinación de la atención
purpose-clintrch = investigación en un ensayo clínico
purpose-hpaymt = pago
purpose-coverage = consultas sobre la cobertura
purpose-eligdtrm = comprobación del derecho a cobertura
purpose-remitadv = comunicación de pagos
purpose-hoperat = funcionamiento del centro
purpose-caremgt = gestión de la atención
purpose-hqualimp = mejora de la calidad
purpose-hcompl = verificación del cumplimiento
purpose-hlegal = asuntos legales
purpose-hsysadmin = administración de sistemas
purpose-patadmin = gestiones administrativas de los pacientes
purpose-patsfty = seguridad de los pacientes
purpose-recordmgt = gestión de historias clínicas
purpose-train = formación
purpose-gov = administración pública
purpose-hmarkt = mercadotecnia
purpose-hresch = investigación
purpose-patrqt = a petición del paciente
purpose-famrqt = a petición de la familia
purpose-pwatrny = a petición de un representante legal
purpose-pubhlth = salud pública
purpose-disaster = una catástrofe
purpose-threat = una amenaza para la población

device = Conectar un dispositivo
device-text = Escriba el código que muestra su dispositivo. Hágalo solo si fue usted quien lo inició en el dispositivo.
device-code = Código
device-wrong = Ese código no es válido. Puede haber caducado o haberse utilizado ya: empiece de nuevo en el dispositivo.
device-too-often = Demasiados códigos no válidos. Espere un poco y vuelva a intentarlo.

emergency = Acceso de emergencia
emergency-for = { $application } solicita acceso de emergencia a la historia clínica del paciente { $patient }, en su nombre ({ $username }).
emergency-contact = A quién dirigirse: { $contact }
emergency-back = Volver
emergency-what = Qué ocurrirá
emergency-recorded = Su nombre, el motivo, la hora y cada entrada que vea quedan registrados, y nadie puede eliminarlos.
emergency-told = El oficial de privacidad recibe un aviso inmediato y revisa el acceso.
emergency-reviewed = El oficial de privacidad revisa el acceso.
emergency-limits = Verá únicamente la historia clínica de este paciente, durante un máximo de { $minutes } { $minutes ->
    [one] minuto
   *[other] minutos
}. No podrá modificar nada en ella.
emergency-why = ¿Por qué lo necesita?
emergency-words = Con sus propias palabras
emergency-words-hint = El oficial de privacidad leerá este texto. { $longest } caracteres como máximo.
emergency-password = Su contraseña, una vez más
emergency-confirm = Demuestre una vez más que es usted.
emergency-confirm-password = Demuestre una vez más que es usted: con una llave de acceso, o con su contraseña.
emergency-confirm-code = Demuestre una vez más que es usted: con una llave de acceso, o con su contraseña y un código.
emergency-confirmed = Se ha confirmado que es usted. Ahora abra la historia clínica.
emergency-by-passkey = Aquí no basta con una contraseña: confirme con su llave de acceso.
emergency-nothing = No tiene aquí ni contraseña ni llave de acceso, de modo que nada puede demostrar una vez más que es usted. Su administrador puede darle una contraseña.
emergency-nothing-enough = En su caso la contraseña sola no basta, y aquí no tiene ni llave de acceso ni aplicación de autenticación. Añada antes una en su cuenta, en «Cómo inicia sesión».
emergency-open = Abrir esta historia clínica
emergency-leave = No abrirla
emergency-no-reason = Indique por qué lo necesita: elija un motivo y escriba unas palabras.
emergency-wrong = La contraseña no es correcta.
emergency-spent = Lo que presentó fue incorrecto demasiadas veces. Inicie sesión de nuevo y vuelva a solicitarlo desde su aplicación.
emergency-not-role = El acceso de emergencia no está previsto para su rol.
emergency-blocked-many = En este momento no puede abrir una historia clínica de esta manera: todavía no se han revisado sus accesos de emergencia anteriores a { $patients } { $patients ->
    [one] paciente
   *[other] pacientes
}. Antes debe examinarlos un oficial de privacidad.
emergency-blocked-old = En este momento no puede abrir una historia clínica de esta manera: un acceso de emergencia anterior lleva demasiado tiempo a la espera de revisión. Antes debe examinarlo un oficial de privacidad.

reason-immediate-danger = Hay un peligro inmediato para la vida o la salud
reason-emergency-visit = Atiendo al paciente en una urgencia
reason-covering = Sustituyo a alguien que atiende al paciente
reason-consult = Alguien que trata al paciente me ha pedido ayuda
reason-new-patient = El paciente acaba de llegar a mi consulta y todavía no figura en mi lista
reason-other = Otro motivo

emergency-own-none = El acceso de emergencia está reservado a quienes tratan a pacientes. Sus roles ({ $roles }) no lo incluyen.
emergency-own-what = En una emergencia usted puede abrir la historia clínica de un paciente que no está a su cargo: solo esa, solo para leerla y durante un máximo de { $minutes } { $minutes ->
    [one] minuto
   *[other] minutos
}.
emergency-own-many = Ahora no: todavía no se han revisado sus accesos de emergencia anteriores a { $patients } { $patients ->
    [one] paciente
   *[other] pacientes
}. Antes debe examinarlos un oficial de privacidad.
emergency-own-old = Ahora no: un acceso de emergencia anterior lleva demasiado tiempo a la espera de revisión. Antes debe examinarlo un oficial de privacidad.
emergency-own-how = Cómo solicitarlo
emergency-own-application = En su aplicación, si ofrece acceso de emergencia: le enviará aquí, usted indicará el motivo y demostrará una vez más que es usted.
emergency-own-terminal = En un terminal: { $command }
emergency-own-recorded = Su nombre, el motivo y cada entrada que vea quedan registrados.
emergency-own-open = Abierto: paciente { $patient }
emergency-own-until = Hasta { $until }.
emergency-own-end = Terminarlo ahora
emergency-own-reviews = Usos del acceso de emergencia y su revisión
