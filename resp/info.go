package resp

func (c *conn) cmdInfo([][]byte) {
	c.enc.Verbatim("txt", "# Server\r\nredis_version:"+redisVersion+"\r\n")
}
