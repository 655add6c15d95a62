import flask
from authlib.integrations.flask_client import OAuth


def clinic(issuer, client_id, client_secret, redirect_uri, scope, resource):
    app = flask.Flask("clinic")
    gateway = OAuth(app).register(
        "chartgate",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": scope, "code_challenge_method": "S256"},
    )

    @app.get("/login")
    def login():
        return gateway.authorize_redirect(redirect_uri, resource=resource)

    @app.get("/callback")
    def callback():
        return gateway.authorize_access_token()  # checks the ID token too: `token["userinfo"]`

    return app, gateway
